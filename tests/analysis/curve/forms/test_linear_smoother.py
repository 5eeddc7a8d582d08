import numpy as np
import pytest

from analysis.curve.forms.linear_smoother import LinearSmoother
from analysis.curve.forms.local_quadratic import LOCAL_QUADRATIC, local_quadratic
from analysis.curve.forms.spline import SPLINE, spline
from analysis.curve.means import rho_means
from analysis.simulation.sweeps import Noise
from tests.analysis.tables import NINE, sweep

GRID = np.linspace(0.2, 1, 401)


@pytest.mark.parametrize("operator", [local_quadratic, spline])
def test_smoothers_keep_straight_lines(operator):
    for weights in operator(NINE, GRID, np.ones(9), [0.5, 0.01]):
        np.testing.assert_allclose(weights @ (2 - 0.3 * NINE), 2 - 0.3 * GRID, atol=1e-8)


@pytest.mark.parametrize("form", [LOCAL_QUADRATIC, SPLINE])
def test_the_width_predicts_left_out_points_best(form):
    means = rho_means(sweep(noise=Noise(run=0.001)))
    alone = [
        LinearSmoother("one", form.operator, (width,)).fit(means, GRID) for width in form.widths
    ]
    errors = [one.cv_error for one in alone]
    fit = form.fit(means, GRID)
    assert fit.form == form.name
    assert fit.cv_error == pytest.approx(min(errors))
    best = [one.curve for one in alone if one.cv_error == pytest.approx(min(errors))]
    assert min(np.abs(curve - fit.curve).max() for curve in best) < 1e-12


def test_many_data_sets_are_fitted_with_the_width_that_was_chosen():
    means = rho_means(sweep())
    fit = SPLINE.fit(means, GRID)
    np.testing.assert_allclose(fit.curves_of(means.loss[:, None])[:, 0], fit.curve)
    np.testing.assert_allclose(np.interp(means.rho, GRID, fit.curve), fit.at_rho, atol=1e-6)


def test_four_points_take_the_middle_width():
    means = rho_means(sweep(rho=np.array([0.2, 0.5, 0.8, 1.0])))
    fit = SPLINE.fit(means, GRID)
    middle = SPLINE.widths[len(SPLINE.widths) // 2]
    assert np.isnan(fit.cv_error)
    np.testing.assert_array_equal(
        fit.curve, spline(means.rho, GRID, np.diag(means.fit_cov), [middle])[0] @ means.loss
    )
