import numpy as np
import pytest

from analysis.simulation.hard_truths import GAIN, HARD_TRUTHS

GRID = np.linspace(0, 1, 4001)


@pytest.mark.parametrize("truth", HARD_TRUTHS.values(), ids=HARD_TRUTHS)
def test_each_is_a_u(truth):
    losses = truth.loss(GRID)
    assert losses.min() < min(losses[0], losses[-1]) - 0.005
    gain = losses[-1] - losses.min()
    assert gain == pytest.approx(0.045 if truth.name == "cliff" else GAIN, rel=0.05)


@pytest.mark.parametrize("name", ["kaplan", "kaplan_sharp"])
def test_power_laws_are_lowest_at_the_papers_optimum(name):
    assert GRID[HARD_TRUTHS[name].loss(GRID).argmin()] == pytest.approx(0.78, abs=1e-3)


def test_the_two_dips_are_a_quarter_of_a_hundredth_apart():
    losses = HARD_TRUTHS["double_dip"].loss(GRID)
    first, second = losses[GRID < 0.62].min(), losses[GRID > 0.62].min()
    assert first - second == pytest.approx(0.0025, abs=2e-4)
    assert losses[np.abs(GRID - 0.62) < 0.05].max() > first + 0.005
