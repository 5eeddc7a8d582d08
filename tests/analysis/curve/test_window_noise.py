import numpy as np
import pytest

from analysis.curve.means import rho_means
from analysis.simulation.sweeps import Noise
from tests.analysis.tables import sweep


def test_window_covariance_is_the_tilt_of_the_windows():
    """Windows that favour one end make the means uncertain by tilt / sqrt(windows) only."""
    noise = Noise(run=0.002, windows=400, window_tilt=0.2, window_run=0.05)
    table = sweep(noise=noise)
    means = rho_means(table)
    ends = np.zeros(9)
    ends[[0, -1]] = -1, 1
    assert np.sqrt(ends @ means.window_cov @ ends) == pytest.approx(0.8 * 0.2 / 20, rel=0.15)
    no_tilt = rho_means(
        sweep(noise=Noise(run=0.002, windows=400, window_tilt=0.0, window_run=0.05))
    )
    assert np.sqrt(ends @ no_tilt.window_cov @ ends) < 0.5 * 0.05 / 20


def test_windows_that_differ_in_number_are_left_out():
    table = sweep(noise=Noise(windows=8))
    table.at[0, "window_losses"] = np.ones(7)
    assert not rho_means(table).window_cov.any()
