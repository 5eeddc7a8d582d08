import numpy as np
import pytest

from analysis.curve.bootstrap import draw_errors
from analysis.curve.means import rho_means
from analysis.simulation.slots import SIZES, WORLDS, SlotsNoise, simulate_slots
from analysis.slots.line_test import MIN_SIZES, REJECTED, LineTest, judge_line
from tests.analysis.slots.conftest import only, quick, slots


def line_of(*args, **more) -> LineTest:
    found = quick(slots(*args, **more)).arms[0].line
    assert found is not None
    return found


@pytest.mark.parametrize(("world", "bends"), [("line", False), ("saturating", True)])
def test_a_bend_is_seen_where_there_is_one(world, bends):
    found = line_of(world, seed=1)
    assert found.rejected == bends
    assert found.rejected == (found.p_bend < REJECTED)


def test_the_p_value_is_even_under_a_line():
    """Shares of small p over 150 sweeps, within three standard errors of their level."""
    rng, p = np.random.default_rng(0), []
    for _ in range(150):
        runs = simulate_slots("line", 3, SlotsNoise(), rng)
        means = rho_means(
            runs[runs["arm"] == "engram"].assign(rho=lambda t: t["rows_per_head_asked"])
        )
        found = judge_line(SIZES, means, draw_errors(means, 200, rng), 0.9)
        assert found is not None
        p.append((found.p_bend, found.p_misfit))
    for share in (0.05, 0.1, 0.3):
        reach = 3 * np.sqrt(share * (1 - share) / len(p))
        for each in np.array(p).T:
            assert np.mean(each < share) == pytest.approx(share, abs=reach)


def test_a_line_is_said_to_hold_up_to_the_knee():
    """The knee lies at 4,096; two points above it are far from the line."""
    found = line_of("knee", run=0.0005)
    assert found.rejected
    assert found.holds == (64.0, 4096.0)
    whole = line_of("line", run=0.0005, seed=2)
    assert whole.holds == (SIZES[0], SIZES[-1])


def test_slopes_at_the_ends_are_those_of_the_truth():
    found = line_of("saturating", run=0.0005, seeds=5)
    ends = np.log2(SIZES[[0, -1]])
    high, low = WORLDS["saturating"](2 ** (ends + 0.01)), WORLDS["saturating"](2 ** (ends - 0.01))
    for true, interval in zip(
        (high - low) / 0.02, (found.first_slope, found.last_slope), strict=True
    ):
        assert interval.low is not None
        assert interval.high is not None
        assert interval.low - 5e-4 <= true <= interval.high + 5e-4
        assert interval.high - interval.low < 0.004


def test_few_sizes_or_one_seed_are_not_tested():
    assert quick(only(slots(), MIN_SIZES)).arms[0].line is not None
    assert quick(only(slots(), MIN_SIZES - 1)).arms[0].line is None
    assert quick(slots(seeds=1)).arms[0].line is None
