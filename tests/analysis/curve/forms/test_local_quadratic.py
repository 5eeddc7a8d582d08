import numpy as np

from analysis.curve.forms.local_quadratic import local_quadratic
from tests.analysis.tables import NINE

GRID = np.linspace(0.2, 1, 401)


def test_the_weights_are_those_of_a_weighted_polynomial_fit():
    losses = 1.7 + 0.05 * np.random.default_rng(0).standard_normal(9)
    variances = np.linspace(1, 3, 9)
    weights = local_quadratic(NINE, np.array([0.47]), variances, [0.6])[0]
    tricube = (1 - np.minimum(np.abs(NINE - 0.47) / (0.6 * 0.8), 1) ** 3) ** 3
    plain = np.polyfit(NINE - 0.47, losses, 2, w=np.sqrt(tricube / variances))
    np.testing.assert_allclose(weights @ losses, plain[-1], atol=1e-9)


def test_quadratics_are_kept_whatever_the_width():
    losses = 2 - 0.3 * NINE + 0.7 * NINE**2
    for weights in local_quadratic(NINE, GRID, np.ones(9), [0.25, 1.0]):
        np.testing.assert_allclose(weights @ losses, 2 - 0.3 * GRID + 0.7 * GRID**2, atol=1e-8)


def test_a_window_with_too_few_points_is_widened():
    """No point but one lies within the asked width, and a quadratic still has its three."""
    tiny, small = local_quadratic(NINE, NINE, np.ones(9), [1e-9, 1e-3])
    np.testing.assert_array_equal(tiny, small)
    assert (np.abs(tiny) > 1e-6).sum(axis=1).min() >= 3
