import numpy as np
import pytest

from analysis.curve.means import rho_means
from analysis.curve.residuals import residuals_of
from analysis.simulation.sweeps import Noise
from tests.analysis.tables import sweep


def test_residuals_are_those_of_weighted_least_squares():
    rng = np.random.default_rng(0)
    at_rho, of_seed = np.tile(np.arange(5), 4)[:-2], np.repeat(np.arange(4), 5)[:-2]
    loss, scale = rng.standard_normal(18), np.where(at_rho == 4, 3.0, 1.0)
    found = residuals_of(loss, at_rho, of_seed, scale)
    columns = np.hstack([np.eye(5)[at_rho], np.eye(4)[of_seed]])
    effects = np.linalg.lstsq(columns / scale[:, None], loss / scale)[0]
    np.testing.assert_allclose(found.raw, loss - columns @ effects, atol=1e-12)
    np.testing.assert_allclose(found.scaled, found.of((loss / scale)[:, None])[:, 0], atol=1e-12)
    assert found.dof == 18 - 8
    assert found.variance == pytest.approx(float(((found.raw / scale) ** 2).sum() / 10))


def test_clean_sweeps_are_seldom_marked():
    marked = [rho_means(sweep(seed=seed)).outliers.any() for seed in range(100)]
    assert np.mean(marked) < 0.12  # 5 % nominal


def test_a_loud_anchor_is_not_an_outlier():
    """Judged by the noise of all runs, two of three such sweeps had one."""
    noise = Noise(run=0.001, anchor=6)
    marked = [
        rho_means(sweep(seeds=5, noise=noise, seed=seed)).outliers.any() for seed in range(60)
    ]
    assert np.mean(marked) < 0.15


def test_one_run_per_point_is_never_marked():
    assert not rho_means(sweep(seeds=1)).outliers.any()
