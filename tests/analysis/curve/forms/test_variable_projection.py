import numpy as np
import pytest
from scipy.optimize import nnls

from analysis.curve.forms.double_power_law import DoublePowerLaw
from analysis.curve.forms.split_quadratic import SplitQuadratic
from analysis.curve.forms.variable_projection import Projection, heights
from tests.analysis.tables import NINE


def covariance(rng: np.random.Generator, size: int) -> np.ndarray:
    root = rng.standard_normal((size, size))
    return root @ root.T + np.eye(size)


def test_the_level_is_the_generalised_least_squares_mean():
    rng = np.random.default_rng(0)
    cov, values = covariance(rng, 6), rng.standard_normal(6)
    weights = np.linalg.solve(cov, np.ones(6))
    assert Projection(cov).level(values) == pytest.approx(weights @ values / weights.sum())


def test_projected_squares_are_those_of_generalised_least_squares():
    rng = np.random.default_rng(1)
    cov, values = covariance(rng, 6), rng.standard_normal(6)
    projection = Projection(cov)
    off = values - projection.level(values)
    assert np.sum(projection(values) ** 2) == pytest.approx(off @ np.linalg.solve(cov, off))
    np.testing.assert_allclose(projection(values + 3), projection(values), atol=1e-12)


def test_heights_are_those_of_nnls():
    rng = np.random.default_rng(2)
    for _ in range(200):
        s, t, y = rng.standard_normal((3, 7))
        a, b, gain = heights(*(np.array(one) for one in (s @ s, t @ t, s @ t, s @ y, t @ y)))
        coefficients, residual = nnls(np.stack([s, t], axis=1), y)
        np.testing.assert_allclose([a, b], coefficients, atol=1e-9)
        assert y @ y - gain == pytest.approx(residual**2)


def test_sides_that_vanish_or_coincide_get_no_second_height():
    one, none = np.array([1.0, 1.0]), np.array([0.0, 1.0])
    a, b, gain = heights(one, none, none, one, none)
    np.testing.assert_array_equal((a, b, gain), [[1, 1], [0, 0], [1, 1]])


@pytest.mark.parametrize("model", [DoublePowerLaw, SplitQuadratic])
def test_data_sets_are_fitted_alike_alone_and_among_many(model):
    losses = 1.7 + 0.01 * np.random.default_rng(3).standard_normal((9, model.max_data_sets + 3))
    fitter = model(NINE, np.eye(9))
    many = fitter.curves(losses, NINE)
    for column in (0, model.max_data_sets - 1, model.max_data_sets + 2):
        alone = fitter.curves(losses[:, [column]], NINE)[:, 0]
        np.testing.assert_allclose(many[:, column], alone, atol=1e-9)


def test_a_side_of_next_to_nothing_gets_no_height():
    """Its square is positive, and has no finite inverse."""
    tiny, one = np.array([1e-310]), np.array([1.0])
    a, b, gain = heights(tiny, one, np.zeros(1), np.zeros(1), one)
    assert (a, b, gain) == (0, 1, 1)
