import numpy as np
import pytest

from analysis.curve.bootstrap import draw_errors, percentile_interval
from analysis.curve.means import rho_means
from analysis.simulation.sweeps import Noise
from tests.analysis.tables import limits, sweep


def test_draws_have_the_covariance_of_the_means():
    means = rho_means(sweep(seeds=30, noise=Noise(windows=50, window_tilt=0.1)))
    draws = draw_errors(means, 40_000, np.random.default_rng(0))
    np.testing.assert_allclose(np.cov(draws), means.cov, atol=0.06 * means.cov.max())


def test_few_seeds_draw_from_students_t():
    """With two seeds of nine rho (8 degrees of freedom) a t has 8 / 6 of the normal's variance."""
    means = rho_means(sweep(seeds=2))
    draws = draw_errors(means, 40_000, np.random.default_rng(0))
    np.testing.assert_allclose(draws.var(axis=1), means.cov.diagonal() * 8 / 6, rtol=0.05)


def test_one_seed_has_no_draws():
    with pytest.raises(ValueError, match="one seed"):
        draw_errors(rho_means(sweep(seeds=1)), 10, np.random.default_rng(0))


def test_an_interval_is_drawn_values_widened_to_the_estimate():
    drawn = np.arange(101.0)[::-1]
    np.testing.assert_array_equal(limits(percentile_interval(50, drawn, 0.5)), [25, 50, 75])
    np.testing.assert_array_equal(limits(percentile_interval(0, drawn, 0.5)), [0, 0, 75])
    np.testing.assert_array_equal(limits(percentile_interval(200, drawn, 0.5)), [25, 200, 200])


def test_a_limit_that_does_not_exist_is_none():
    drawn = np.append(np.full(20, -np.inf), np.linspace(0, 1, 20))
    assert percentile_interval(0.5, drawn, 0.9).low is None
    assert percentile_interval(-np.inf, drawn, 0.9).value is None
    nothing = percentile_interval(0.5, np.empty(0), 0.9)
    assert (nothing.value, nothing.low, nothing.high) == (0.5, None, None)
