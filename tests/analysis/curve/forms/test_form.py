import numpy as np

from analysis.curve.forms import DEFAULT, FORMS
from analysis.curve.forms.form import leave_one_out_error
from analysis.curve.means import rho_means
from tests.analysis.tables import sweep


def test_names_in_outputs_do_not_change():
    assert list(FORMS) == ["two_power", "split_quadratic", "local_quadratic", "spline"]
    assert DEFAULT == "two_power"
    assert all(FORMS[name].name == name for name in FORMS)


def test_only_interior_points_are_left_out():
    means = rho_means(sweep())
    off = np.arange(9.0)
    error = leave_one_out_error(means, lambda i: means.loss[i] + off[i])
    np.testing.assert_allclose(error, np.sqrt(np.mean(off[1:-1] ** 2)))


def test_a_form_is_compared_by_fits_that_do_not_see_the_point():
    """A prediction that has seen its point would miss it by no more than the whole fit does."""
    means = rho_means(sweep())
    grid = np.linspace(0.2, 1, 11)
    for form in FORMS.values():
        fit = form.fit(means, grid)
        assert fit.form == form.name
        assert fit.curve.shape == grid.shape
        assert fit.at_rho.shape == means.rho.shape
        assert fit.cv_error > np.sqrt(np.mean((means.loss - fit.at_rho)[1:-1] ** 2))


def test_few_points_are_not_compared():
    means = rho_means(sweep(rho=np.array([0.2, 0.5, 0.8, 1.0])))
    assert np.isnan(leave_one_out_error(means, lambda i: 0.0))
