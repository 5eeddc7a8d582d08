import numpy as np
import pandas as pd
import pytest

from analysis.curve.means import RhoMeans, rho_means
from analysis.simulation.sweeps import Noise
from analysis.sweep.next_run import more_runs, next_run
from analysis.sweep.sweep_analysis import analyse_sweep
from tests.analysis.tables import EXACT, sweep


def loud(**more) -> RhoMeans:
    return rho_means(sweep(seeds=5, noise=Noise(anchor=5), **more))


def test_with_a_loud_anchor_the_next_run_is_one():
    found = analyse_sweep(sweep(seeds=5, noise=Noise(anchor=5)), draws=300).next_run
    assert found is not None
    assert found.rho == 1
    assert 0.05 < found.share < 0.3  # the sixth run of about six


def test_the_share_is_what_one_more_run_takes_off_a_plain_mean():
    """The gain read as a plain difference: a run more at rho = 1 takes off what algebra says."""
    means = rho_means(sweep(seeds=4, noise=Noise(seed=1e-9, anchor=5)))
    assert means.noise is not None
    errors = means.noise.draw(4000, np.random.default_rng(0))
    found = next_run(means, errors, errors[-1])
    assert found is not None
    assert found.rho == 1
    own = means.noise.anchor_sigma**2 + means.noise.shift_sd**2
    before = means.cov[-1, -1]
    assert found.share == pytest.approx(before / (before + own), rel=0.05)


def test_enough_runs_are_advised():
    """The advised runs bring the variance of the contrast to what was asked for."""
    table = sweep(seeds=5, noise=Noise(anchor=5))
    means = rho_means(table)
    contrast = np.zeros(9)
    contrast[[5, -1]] = -1, 1
    before = float(contrast @ means.cov @ contrast)
    found = more_runs(means, contrast, before / 2)
    assert found is not None
    assert found.place == "anchor"
    rng = np.random.default_rng(0)
    spread = table.loc[table["rho"] == 1, "validation_loss"]
    more = pd.DataFrame(
        {"rho": 1.0, "seed": 5 + np.arange(found.count), "arm": "moe", "outcome": "ok"}
    )
    more["validation_loss"] = spread.mean() + spread.std() * rng.standard_normal(found.count)
    after = rho_means(pd.concat([table, more], ignore_index=True)).cov
    assert contrast @ after @ contrast < 0.8 * before


def test_equal_noise_between_two_inner_points_needs_seeds():
    means = rho_means(sweep(seeds=3))
    contrast = np.zeros(9)
    contrast[[2, 5]] = -1, 1
    found = more_runs(means, contrast, float(contrast @ means.cov @ contrast) / 2)
    assert found is not None
    assert found.place == "seeds"
    assert found.count in (3, 4)  # the spread of an optimum at rho = 1 reaches neither point


def test_what_no_number_of_runs_reaches_is_none():
    contrast = np.zeros(9)
    contrast[[5, -1]] = -1, 1
    assert more_runs(loud(), contrast, 1e-12) is None
    assert analyse_sweep(sweep(noise=EXACT), draws=20).next_run is None
