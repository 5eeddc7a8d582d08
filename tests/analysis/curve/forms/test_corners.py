import numpy as np
import pytest

from analysis.curve.fit import fit_curve
from analysis.curve.forms.corners import fit_corners
from analysis.curve.means import rho_means
from analysis.simulation.hard_truths import HARD_TRUTHS
from analysis.simulation.sweeps import Truth, simulate
from tests.analysis.tables import EXACT

GRID = np.linspace(0, 1, 401)
RHO = np.linspace(0, 1, 11)


def means_of(loss_of):
    table = simulate(loss_of, RHO, 2, EXACT, np.random.default_rng(0))
    return rho_means(table)


def test_straight_lines_with_a_corner_are_fitted_where_smooth_forms_cannot():
    """Two straight lines that meet at 0.4: a side each, and the smooth default misses them."""
    lines = Truth("vee", lambda rho: 1.2 + np.maximum(0.4 - rho, 0.5 * rho - 0.2) / 10, True)
    means = means_of(lines)
    fit, smooth = fit_corners(means, GRID), fit_curve(means, "two_power").chosen
    off, smooth_off = (np.abs(one.at_rho - means.loss).max() for one in (fit, smooth))
    assert off < 4e-4 < smooth_off
    assert GRID[fit.curve.argmin()] == pytest.approx(0.4, abs=0.03)


@pytest.mark.parametrize("truth", ["kaplan", "cliff"])
def test_it_holds_the_smooth_laws_too(truth):
    means = means_of(HARD_TRUTHS[truth])
    smooth = fit_curve(means, "two_power").chosen
    fit = fit_corners(means, GRID)
    np.testing.assert_allclose(fit.at_rho, means.loss, atol=2e-4)
    assert abs(GRID[fit.curve.argmin()] - GRID[smooth.curve.argmin()]) < 0.03
    np.testing.assert_array_equal(fit.curves_of(means.loss[:, None])[:, 0], fit.curve)
