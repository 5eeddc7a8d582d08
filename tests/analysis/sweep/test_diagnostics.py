"""Diagnostics hold their level on clean sweeps and see what they are made for."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from analysis.curve.fit import fit_curve
from analysis.curve.means import rho_means
from analysis.simulation.sweeps import Noise
from analysis.sweep.diagnostics import Diagnostics, diagnose
from analysis.sweep.sweep_analysis import analyse_sweep
from tests.analysis.tables import sweep


def timed(table: pd.DataFrame, order: np.ndarray) -> pd.DataFrame:
    started = pd.Timestamp("2026-01-01", tz="UTC") + pd.to_timedelta(order, unit="h")
    return table.assign(started_at=started)


def diagnostics(table: pd.DataFrame) -> Diagnostics:
    return analyse_sweep(table, draws=20).diagnostics


def test_a_clean_sweep_raises_no_doubt():
    found = diagnostics(sweep())
    assert found.drift is None
    for p in (found.misfit, found.seed_tilt, found.unequal_noise):
        assert p is not None
        assert p > 0.01


def test_every_p_value_is_uniform_over_clean_sweeps():
    random = np.random.default_rng(0)
    curve = fit_curve(rho_means(sweep()))
    found = []
    for seed in range(100):
        table = timed(sweep(seed=seed), random.permutation(27))
        found.append(diagnose(table, rho_means(table), curve))
    for name in ("seed_tilt", "unequal_noise", "drift"):
        assert stats.kstest([getattr(one, name) for one in found], "uniform").pvalue > 0.001, name


def test_what_is_wrong_is_seen():
    quiet = sweep(noise=Noise(run=0.0005))
    wave = 0.004 * np.where(np.isclose(quiet["rho"] * 10 % 2, 0, atol=1e-6), 1, -1)
    misfit = diagnostics(quiet.assign(validation_loss=quiet["validation_loss"] + wave)).misfit
    tilt = diagnostics(sweep(seeds=4, noise=Noise(run=0.001, seed_tilt=0.02))).seed_tilt
    order = np.random.default_rng(0).permutation(27)
    drifting = timed(quiet.assign(validation_loss=quiet["validation_loss"] + 0.001 * order), order)
    for p in (misfit, tilt, diagnostics(drifting).drift):
        assert p is not None
        assert p < 0.01


def test_unequal_noise_is_cochrans_test():
    """Among many seeds the simulated p-value is near that of the textbook's F bound."""
    table = sweep(seeds=30, noise=Noise(run=0.002))
    loud = table["rho"] == 0.2
    extra = 0.0016 * np.random.default_rng(5).standard_normal(len(table)) * loud
    table["validation_loss"] += extra
    means = rho_means(table)
    p = diagnose(table, means, fit_curve(means)).unequal_noise
    squares = np.bincount(np.searchsorted(means.rho, table["rho"]), means.residuals.scaled**2)
    share = squares.max() / squares.sum()
    bound = 9 * stats.f.sf(share / (1 - share) * 8, 29, 8 * 29)
    assert p == pytest.approx(bound, abs=0.03)


def test_a_loud_anchor_is_no_unequal_noise_and_hides_no_drift():
    """The anchor's own noise is in the model, so neither test is judged by it."""
    random = np.random.default_rng(2)
    found = []
    for seed in range(40):
        table = sweep(seeds=5, noise=Noise(run=0.001, anchor=5), seed=seed)
        found.append(diagnostics(timed(table, random.permutation(len(table)))))
    for name in ("unequal_noise", "drift", "seed_tilt"):
        assert np.mean([getattr(one, name) < 0.05 for one in found]) < 0.17, name
    table = sweep(seeds=5, noise=Noise(run=0.001, anchor=5))
    order = random.permutation(len(table))
    drifting = table.assign(validation_loss=table["validation_loss"] + 1e-4 * order)
    p = diagnostics(timed(drifting, order)).drift
    assert p is not None
    assert p < 0.01


def test_one_seed_is_not_tested():
    found = diagnostics(sweep(seeds=1))
    assert (found.misfit, found.seed_tilt, found.unequal_noise) == (None, None, None)
