import numpy as np
import pytest
from scipy import special

from analysis.curve.forms.double_power_law import DoublePowerLaw
from analysis.simulation.hard_truths import GAIN, HARD_TRUTHS
from analysis.simulation.sweeps import Noise
from analysis.simulation.worlds import NINE, SIX

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


@pytest.mark.parametrize(
    ("rho", "runs", "power"),
    [(NINE, [3] * 9, 0.63), (NINE, [5] * 9, 0.82), (SIX, [2, 2, 2, 2, 2, 5], 0.10)],
    ids=["9 x 3", "9 x 5", "6 x 2 + 3"],
)
def test_no_test_tells_the_left_kink_from_the_nearest_smooth_curve_often(rho, runs, power):
    """The bound of Neyman and Pearson at 5 %, both curves known up to their level.

    Their distance in standard errors is all that it depends on.
    """
    runs, loss = np.array(runs, dtype=float), HARD_TRUTHS["left_kink"].loss(rho)
    smooth = DoublePowerLaw(rho, np.diag(1 / runs)).refine(loss, rho).curve
    distance = np.sqrt(runs @ (loss - smooth) ** 2) / Noise().run
    assert special.ndtr(distance - special.ndtri(0.95)) == pytest.approx(power, abs=0.01)
