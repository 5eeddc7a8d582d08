from __future__ import annotations

import numpy as np
import pytest

from analysis.simulation.power import scaled
from analysis.simulation.sweeps import TRUTHS, Noise, simulate


@pytest.mark.parametrize("gain", [0.0, 0.004, 0.0139])
def test_the_truth_has_the_gain_asked_for(gain):
    truth = scaled(TRUTHS["paper"], gain)
    losses = truth.loss(np.linspace(0, 1, 4001))
    assert losses[-1] - losses.min() == pytest.approx(gain, abs=1e-9)
    assert truth.has_u == (gain > 0)


RHO = np.linspace(0, 1, 6)
STILL = Noise(run=0, seed=0)


def losses(noise: Noise, seeds: int = 400) -> np.ndarray:
    """Simulated losses minus the truth, shape (seeds, rho)."""
    truth = TRUTHS["paper"]
    table = simulate(truth, RHO, seeds, noise, np.random.default_rng(0))
    wide = table.pivot(index="seed", columns="rho", values="validation_loss")
    return wide.to_numpy() - truth.loss(RHO)


@pytest.mark.parametrize("truth", TRUTHS.values(), ids=TRUTHS)
def test_without_noise_the_runs_are_the_truth(truth):
    table = simulate(truth, RHO, 3, STILL, np.random.default_rng(0))
    np.testing.assert_allclose(table["validation_loss"], np.tile(truth.loss(RHO), 3))
    assert set(table.loc[table["rho"] == 1, "arm"]) == {"moe"}


@pytest.mark.parametrize("truth", TRUTHS.values(), ids=TRUTHS)
def test_a_truth_has_the_shape_that_it_says(truth):
    curve = truth.loss(np.linspace(0, 1, 4001))
    inside = curve[1:-1].min()
    assert truth.has_u == bool(inside < min(curve[0], curve[-1]) - 1e-9)
    lowest = (curve < curve.min() + 1e-9).sum()
    assert truth.one_optimum == bool(lowest < 10)


def test_the_papers_curve_has_the_papers_numbers():
    curve = TRUTHS["paper"].loss
    assert curve(np.array([1.0, 0.4, 0.78])) == pytest.approx([1.7248, 1.7248, 1.7109])


def test_a_seed_shifts_its_runs_together_and_a_run_by_itself():
    shifts = losses(Noise(run=0, seed=0.01))
    assert np.ptp(shifts, axis=1).max() < 1e-12
    assert shifts[:, 0].std() == pytest.approx(0.01, rel=0.15)
    alone = losses(Noise(run=0.01, seed=0))
    assert alone.std() == pytest.approx(0.01, rel=0.1)
    assert abs(np.corrcoef(alone.T) - np.eye(len(RHO))).max() < 0.2


def test_windows_average_to_the_loss_and_some_runs_diverge():
    noise = Noise(windows=5, diverged=0.25)
    table = simulate(TRUTHS["flat"], RHO, 200, noise, np.random.default_rng(1))
    gone = np.isnan(table["validation_loss"].to_numpy(float))
    assert gone.mean() == pytest.approx(0.25, abs=0.05)
    assert set(table["outcome"].to_numpy()[gone]) == {"diverged"}
    of_windows = np.array([np.mean(one) for one in table["window_losses"]])
    np.testing.assert_allclose(of_windows[~gone], table["validation_loss"].to_numpy()[~gone])


def test_the_anchor_may_be_louder_and_tails_may_be_heavy():
    loud = losses(Noise(run=0.01, seed=0, anchor=5))
    assert loud[:, -1].std() == pytest.approx(0.05, rel=0.15)
    assert loud[:, :-1].std() == pytest.approx(0.01, rel=0.1)
    tails = losses(Noise(run=0.01, seed=0, heavy_tails=True))
    assert np.mean(np.abs(tails) > 0.04) > 0.003  # 0.0001 of a normal distribution
    assert np.quantile(np.abs(tails), 0.5) < 0.006  # 0.0067 of a normal distribution


def test_further_seeds_train_rho_1_only():
    rng = np.random.default_rng(0)
    table = simulate(TRUTHS["paper"], RHO, 2, STILL, rng, anchor_seeds=3)
    more = table.loc[table["seed"] >= 2]
    assert more["rho"].tolist() == [1.0] * 3
    assert more["seed"].tolist() == [2, 3, 4]
