import pandas as pd
import pytest

from analysis.inside.equal_loss import equal_loss
from tests.analysis.inside.measured import runs_of

HARD = {0: 0.0, 1: 0.3, 2: -0.1}
"""Loss that a seed has at every rho."""


def losses(above_moe: dict[float, float], seeds: dict[float, tuple[int, ...]]) -> pd.DataFrame:
    """Runs of a curve, two rows of a measure each."""
    return pd.DataFrame(
        {**runs_of(rho, seed), "validation_loss": 1.5 + HARD[seed] + above, "row": row}
        for rho, above in {1.0: 0.0, **above_moe}.items()
        for seed in seeds.get(rho, (0, 1, 2))
        for row in range(2)
    )


def test_the_far_side_of_the_u_stands_at_pure_moes_loss():
    found = equal_loss(losses({0.0: 0.01, 0.2: 0.001, 0.5: -0.024, 0.75: -0.015}, {}))
    assert found is not None
    assert (found.rho, found.best_rho) == (0.2, 0.5)
    assert found.above_moe == pytest.approx(0.001)
    assert found.best_above_moe == pytest.approx(-0.024)
    assert found.is_equal
    said = found.words()
    assert "At rho 0.20 the validation loss is about pure MoE's (+0.0010 nats/token;" in said
    assert "at rho 0.50 it is -0.0240" in said


def test_losses_are_compared_within_seeds():
    """With the seed of a high loss left out, 0.2 would look better than it is."""
    rows = losses({0.2: 0.001, 0.5: -0.024}, {0.2: (0, 2), 0.5: (0, 1, 2)})
    found = equal_loss(rows)
    assert found is not None
    assert found.above_moe == pytest.approx(0.001)


def test_a_curve_that_does_not_come_back_up_has_no_equal_pair():
    found = equal_loss(losses({0.5: -0.024, 0.75: -0.015}, {}))
    assert found is not None
    assert not found.is_equal
    assert "No measured rho stands at pure MoE's loss (nearest: 0.75, -0.0150" in found.words()


def test_runs_that_share_no_seed_are_not_compared():
    assert equal_loss(losses({0.5: -0.024}, {0.5: (0,), 1.0: (1, 2)})) is None
