import numpy as np
import pytest

from analysis.runs.conditions import split_conditions
from analysis.scaling.condition_noise import draw_errors_of_conditions, inverse_variances
from analysis.sweep.sweep_analysis import analyse_sweep
from tests.analysis.scaling.conftest import table


def analysed(frame):
    return [analyse_sweep(one.runs, draws=50) for one in split_conditions(frame, "sim")]


def test_draws_spread_as_much_as_the_noise_of_a_simulated_gain():
    """The drawn errors of the gain are as wide as the gains of other seeds scatter."""
    drawn = draw_errors_of_conditions(analysed(table()), 400)
    assert drawn is not None
    assert drawn.shape == (2, 3, 400)
    gains = [
        one.gain_over_moe.value for seed in range(8) for one in analysed(table(seed=100 + seed))
    ]
    assert drawn[1].std() == pytest.approx(np.array(gains, dtype=float).std(), rel=0.6)


def test_one_seed_everywhere_has_no_draws_and_equal_weights():
    assert draw_errors_of_conditions(analysed(table(seeds=1)), 50) is None
    assert np.array_equal(inverse_variances(None, 3), np.ones((2, 3)))


def test_weights_are_inverse_variances_shrunk_halfway_to_their_mean():
    errors = np.random.default_rng(0).standard_normal((2, 2, 100_000))
    errors[:, 1] *= 3
    np.testing.assert_allclose(inverse_variances(errors, 2), [[1 / 3, 1 / 7]] * 2, rtol=0.02)


def test_a_condition_without_any_error_still_has_a_finite_weight():
    assert np.isfinite(inverse_variances(np.zeros((2, 2, 10)), 2)).all()
