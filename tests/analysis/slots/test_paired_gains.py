import numpy as np
import pandas as pd
import pytest
from scipy import stats

from analysis.slots.paired_gains import paired_gains
from tests.analysis.tables import limits

ROWS = [64.0, 256.0, 1024.0]


def losses(table: np.ndarray) -> pd.DataFrame:
    return pd.DataFrame(table, index=ROWS[: len(table)], columns=range(table.shape[1]))


def gains(mine: np.ndarray, others: np.ndarray, level: float = 0.9):
    found = paired_gains("engram", "over_encoding", losses(mine), losses(others), level)
    assert found is not None
    return found


def test_the_mean_gain_is_a_t_interval_of_the_seeds_means():
    rng = np.random.default_rng(0)
    mine, others = rng.normal(1.2, 0.01, (3, 5)), rng.normal(1.21, 0.01, (3, 5))
    of_seeds = (others - mine).mean(axis=0)
    wanted = stats.t.interval(0.9, 4, of_seeds.mean(), of_seeds.std(ddof=1) / 5**0.5)
    low, value, high = limits(gains(mine, others).mean)
    assert (low, high) == pytest.approx(wanted)
    assert value == pytest.approx(of_seeds.mean())


def test_the_slope_is_blind_to_a_shift_of_a_seed():
    rng = np.random.default_rng(1)
    mine, others = rng.normal(1.2, 0.001, (3, 4)), rng.normal(1.21, 0.001, (3, 4))
    shifted = gains(mine, others + rng.normal(0, 1, 4))
    np.testing.assert_allclose(limits(shifted.slope), limits(gains(mine, others).slope))
    wide, narrow = limits(shifted.mean), limits(gains(mine, others).mean)
    assert wide[2] - wide[0] > 10 * (narrow[2] - narrow[0])


def test_one_size_is_a_plain_paired_t_interval():
    mine, others = np.array([[1.0, 1.1, 1.3]]), np.array([[1.2, 1.25, 1.4]])
    found = gains(mine, others)
    differences = (others - mine)[0]
    wanted = stats.t.interval(0.9, 2, differences.mean(), stats.sem(differences))
    assert limits(found.at_size[0])[[0, 2]] == pytest.approx(wanted)
    assert found.slope.value is None


def test_coverage_with_and_without_shifts():
    """90 % intervals of one size, of the mean and of the slope over 400 tables."""
    rng = np.random.default_rng(2)
    for shift in (0.0, 2.0):
        held = np.zeros(3)
        for _ in range(400):
            table = 1 + shift * rng.standard_normal(4) + rng.standard_normal((3, 4))
            found = gains(np.zeros((3, 4)), table)
            trio = ((found.at_size[1], 1.0), (found.mean, 1.0), (found.slope, 0.0))
            held += [limits(one)[0] <= true <= limits(one)[2] for one, true in trio]
        reach = 3 * np.sqrt(0.9 * 0.1 / 400)
        assert (held / 400 >= 0.9 - reach).all()
        assert (held / 400 <= 0.9 + reach + 0.03).all(), "Satterthwaite's degrees err to the wide"


def test_seeds_and_sizes_that_one_arm_lacks_are_left_out():
    mine = losses(np.array([[1.0, 1.0, np.nan], [1.0, 1.1, 1.0], [1.0, 1.0, 1.0]]))
    others = losses(np.array([[1.1, 1.2, 1.1], [1.1, 1.2, 1.1], [np.nan] * 3]))
    found = paired_gains("engram", "over_encoding", mine, others, 0.9)
    assert found is not None
    assert found.seeds == 2
    assert found.rows.tolist() == ROWS[:2]
    assert paired_gains("engram", "moe", mine, pd.Series(dtype=float), 0.9) is None


def test_one_seed_has_values_and_no_limits():
    found = gains(np.ones((3, 1)), 1.5 * np.ones((3, 1)))
    assert (found.mean.value, found.mean.low) == (0.5, None)
    assert found.at_size[0].high is None
    assert found.slope.low is None
