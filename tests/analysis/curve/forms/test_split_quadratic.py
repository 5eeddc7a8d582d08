import numpy as np
import pytest

from analysis.curve.forms.double_power_law import DoublePowerLaw
from analysis.curve.forms.split_quadratic import SplitQuadratic
from analysis.simulation.sweeps import TRUTHS
from tests.analysis.tables import NINE

GRID = np.linspace(0.2, 1, 401)


def lowest(curve: np.ndarray) -> float:
    return float(GRID[curve.argmin()])


def test_two_half_parabolas_are_recovered_where_smooth_forms_are_biased():
    """The bend lies between measured points and is three times as sharp on one side.

    The optimum is recovered without noise and in the mean over noise.
    """
    truth = TRUTHS["two_parabolas"].loss(NINE)[:, None]
    assert lowest(SplitQuadratic(NINE, np.eye(9)).curves(truth, GRID)[:, 0]) == pytest.approx(
        0.78, abs=0.003
    )
    noise = 0.001 * np.random.default_rng(4).standard_normal((9, 300))
    optima = [
        GRID[form(NINE, np.eye(9)).curves(truth + noise, GRID).argmin(axis=0)]
        for form in (SplitQuadratic, DoublePowerLaw)
    ]
    assert abs(optima[0].mean() - 0.78) < 0.006 < 0.78 - optima[1].mean()


def test_half_parabolas_without_a_turn_are_monotone():
    falling = SplitQuadratic(NINE, np.eye(9)).curves((2 - NINE**2)[:, None], GRID)[:, 0]
    assert (np.diff(falling) <= 1e-12).all()
