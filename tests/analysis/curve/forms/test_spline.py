import numpy as np
from scipy.interpolate import make_smoothing_spline

from analysis.curve.forms.spline import spline
from analysis.simulation.sweeps import TRUTHS
from tests.analysis.tables import NINE

GRID = np.linspace(0.2, 1, 401)


def test_the_spline_is_scipys():
    x = (NINE - 0.2) / 0.8
    losses = TRUTHS["paper"].loss(NINE) + 0.002 * np.sin(40 * NINE)
    mine = spline(NINE, GRID, np.ones(9), [1e-3])[0] @ losses
    np.testing.assert_allclose(
        mine, make_smoothing_spline(x, losses, lam=9e-3)((GRID - 0.2) / 0.8), atol=1e-8
    )
