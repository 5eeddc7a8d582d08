import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.curve.means import rho_means
from analysis.simulation.sweeps import Noise
from tests.analysis.tables import sweep


def test_balanced_means_are_plain_means():
    table = sweep()
    means = rho_means(table)
    plain = [np.mean(table.loc[table["rho"] == rho, "validation_loss"]) for rho in means.rho]
    np.testing.assert_allclose(means.loss, plain)
    assert means.residuals.dof == 8 * 2
    assert means.dof == 9 * 2
    assert means.paired


@settings(max_examples=30, deadline=None)
@given(shifts=st.lists(st.floats(-5, 5), min_size=3, max_size=3))
def test_differences_do_not_feel_a_shift_of_a_seed(shifts):
    """What a whole seed gains or loses moves no difference along rho."""
    table = sweep()
    shifted = table.assign(
        validation_loss=table["validation_loss"] + np.array(shifts)[table["seed"]]
    )
    before, after = rho_means(table), rho_means(shifted)
    np.testing.assert_allclose(np.diff(before.loss), np.diff(after.loss), atol=1e-7)


@settings(max_examples=30, deadline=None)
@given(
    shifts=st.lists(st.floats(0.1, 0.5), min_size=3, max_size=3),
    gone=st.sets(st.integers(0, 26), max_size=6),
)
def test_missing_runs_of_seeds_that_lie_far_apart_are_paired(shifts, gone):
    """Where seeds differ by far more than runs, random seeds are as good as fixed ones."""
    shift = np.cumsum(shifts)
    table = sweep(noise=Noise(run=0.001)).drop(index=sorted(gone)).reset_index(drop=True)
    if len(set(table["rho"])) < 9 or not rho_means(table).paired:
        return
    table["validation_loss"] += shift[table["seed"]]
    means = rho_means(table)
    columns = np.column_stack(
        [np.eye(9)[np.searchsorted(means.rho, table["rho"])], np.eye(3)[table["seed"]]]
    )
    fixed = np.linalg.lstsq(columns, table["validation_loss"].to_numpy(float))[0][:9]
    np.testing.assert_allclose(np.diff(means.loss), np.diff(fixed), atol=1e-3)


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


def test_a_run_of_a_seed_that_has_no_other_rho_counts():
    """Three more runs at rho = 1 move its mean and narrow it."""
    few = sweep(seeds=2)
    more = pd.DataFrame(
        {"arm": "moe", "rho": 1.0, "seed": [2, 3, 4], "outcome": "ok", "validation_loss": 1.8}
    )
    before, after = rho_means(few), rho_means(pd.concat([few, more], ignore_index=True))
    assert after.loss[-1] > before.loss[-1] + 0.01
    still = sweep(seeds=2).iloc[[8, 17]]["validation_loss"].mean()
    calm = rho_means(pd.concat([few, more.assign(validation_loss=still)], ignore_index=True))
    assert calm.cov[-1, -1] < before.cov[-1, -1]


def test_an_outlier_is_marked_and_kept():
    table = sweep(noise=Noise(run=0.001))
    table.loc[5, "validation_loss"] += 0.05
    means = rho_means(table.sort_values(["rho", "seed"], ignore_index=True))
    assert means.outliers.sum() == 1
    row = table.sort_values(["rho", "seed"], ignore_index=True)[means.outliers].iloc[0]
    assert (row["rho"], row["seed"]) == (table.loc[5, "rho"], table.loc[5, "seed"])
    assert means.runs.sum() == len(table)
