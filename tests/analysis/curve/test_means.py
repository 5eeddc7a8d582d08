import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.curve.means import rho_means, with_own_noise
from analysis.simulation.sweeps import TRUTHS, Noise
from analysis.sweep.sweep_analysis import analyse_sweep
from tests.analysis.tables import sweep


def test_balanced_means_are_plain_means():
    table = sweep()
    means = rho_means(table)
    plain = [np.mean(table.loc[table["rho"] == rho, "validation_loss"]) for rho in means.rho]
    np.testing.assert_allclose(means.loss, plain)
    np.testing.assert_allclose(np.diag(means.unit_cov), 1 / 3)
    assert means.dof == 8 * 2
    assert means.paired


@settings(max_examples=30, deadline=None)
@given(
    shifts=st.lists(st.floats(-5, 5), min_size=3, max_size=3),
    gone=st.sets(st.integers(0, 26), max_size=6),
)
def test_differences_do_not_feel_a_shift_of_a_seed(shifts, gone):
    """What a whole seed gains or loses moves no difference along rho, runs missing or not."""
    table = sweep().drop(index=sorted(gone)).reset_index(drop=True)
    if len(set(table["rho"])) < 9 or not rho_means(table).paired:
        return
    shifted = table.assign(
        validation_loss=table["validation_loss"] + np.array(shifts)[table["seed"]]
    )
    before, after = rho_means(table), rho_means(shifted)
    np.testing.assert_allclose(np.diff(before.loss), np.diff(after.loss), atol=1e-9)
    assert before.sigma == pytest.approx(after.sigma, abs=1e-9)


def test_noise_is_recovered_whatever_the_seeds_shift_by():
    table = sweep(seeds=40, noise=Noise(run=0.003, seed=0.5))
    assert rho_means(table).sigma == pytest.approx(0.003, rel=0.1)


def test_seeds_that_never_meet_are_not_paired():
    table = pd.DataFrame(
        {"rho": [0.2, 0.6, 0.8, 1.0], "seed": [0, 1, 2, 3], "validation_loss": [4.0, 3.0, 2.0, 3.0]}
    )
    means = rho_means(table)
    assert not means.paired
    assert means.dof == 0
    assert np.isnan(means.sigma)
    np.testing.assert_allclose(means.loss, [4, 3, 2, 3])


def test_an_outlier_is_marked_and_kept():
    table = sweep(noise=Noise(run=0.001))
    table.loc[5, "validation_loss"] += 0.05
    means = rho_means(table.sort_values(["rho", "seed"], ignore_index=True))
    assert means.outliers.sum() == 1
    row = table.sort_values(["rho", "seed"], ignore_index=True)[means.outliers].iloc[0]
    assert (row["rho"], row["seed"]) == (table.loc[5, "rho"], table.loc[5, "seed"])
    assert means.runs.sum() == len(table)


def test_clean_sweeps_are_seldom_marked():
    marked = [rho_means(sweep(seed=seed)).outliers.any() for seed in range(100)]
    assert np.mean(marked) < 0.12  # 5 % nominal


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


def loud_anchor(seed: int, seeds: int = 5, loud: float = 0.006) -> pd.DataFrame:
    """Simulate a sweep whose runs at rho = 1 scatter six times as much as the others."""
    table = sweep(seeds=seeds, noise=Noise(run=0.001), seed=seed)
    random = np.random.default_rng([seed, 1])
    anchor = table["rho"] == 1
    return table.assign(
        validation_loss=table["validation_loss"] + anchor * random.normal(0, loud, len(table))
    )


def test_each_rho_has_its_own_noise_where_they_differ():
    table = loud_anchor(0, seeds=40)
    own = with_own_noise(rho_means(table), table["rho"].to_numpy(float))
    assert own.own_noise is not None
    assert own.own_noise[-1] == pytest.approx(0.006, rel=0.25)
    assert own.own_noise[:-1] == pytest.approx(0.0012, rel=0.4)
    error = np.sqrt(np.diag(own.cov))
    assert error[-1] == pytest.approx(0.006 / np.sqrt(40), rel=0.25)


def test_the_gain_over_a_loud_anchor_is_covered():
    """With one noise for all rho, 45 % of these intervals covered it."""
    truth = TRUTHS["paper"].read(0.2, 1.0, 0.001).gain[0]
    covered = 0
    for seed in range(30):
        gain = analyse_sweep(loud_anchor(seed), draws=200).gain_over_moe
        assert gain.low is not None
        assert gain.high is not None
        covered += gain.low <= truth <= gain.high
    assert covered >= 21
