import json

import numpy as np
import pandas as pd
import pytest

from analysis.report.numbers import as_json, per_rho
from analysis.simulation.sweeps import TRUTHS, Noise
from analysis.sweep.sweep_analysis import analyse_sweep
from analysis.sweep.verdict import VERDICTS, judge
from tests.analysis.tables import EXACT, NINE, limits, sweep, with_arms

CLEAR = {
    "paper": "u_supported",
    "symmetric": "u_supported",
    "edge_memory": "monotone_memory",
    "edge_experts": "monotone_experts",
    "flat": "flat",
}


@pytest.mark.parametrize("truth", CLEAR)
def test_clear_sweeps_get_their_word(truth):
    verdict = judge(analyse_sweep(sweep(truth, seeds=5, noise=Noise(run=0.0008))))
    assert verdict.word == CLEAR[truth]
    assert "nats/token" in verdict.sentence


@pytest.mark.parametrize("truth", ["paper", "edge_memory", "edge_experts", "flat"])
def test_sweeps_without_noise_are_read_too(truth):
    assert judge(analyse_sweep(sweep(truth, noise=EXACT))).word == CLEAR[truth]


def test_a_blurred_u_is_not_identified_and_says_what_would_help():
    verdict = judge(analyse_sweep(sweep(seeds=2, noise=Noise(run=0.015), seed=1)))
    assert verdict.word == "not_identified"
    assert "points at rho" in verdict.sentence


def test_one_seed_gives_a_fit_without_intervals():
    result = analyse_sweep(sweep(seeds=1))
    verdict = judge(result)
    assert verdict.word == "not_identified"
    assert "one seed" in verdict.sentence
    assert result.rho_star.value == pytest.approx(0.78, abs=0.1)
    assert (result.rho_star.low, result.band, result.test) == (None, None, None)


def test_three_points_cannot_place_an_optimum():
    verdict = judge(analyse_sweep(sweep(rho=np.array([0.2, 0.8, 1.0]))))
    assert verdict.word == "not_identified"
    assert "add at least 2 points" in verdict.sentence


def test_failed_and_outlying_runs_are_named():
    table = sweep(noise=Noise(run=0.001))
    table.loc[4, "validation_loss"] = np.nan
    table.loc[10, "validation_loss"] += 0.05
    sentence = judge(analyse_sweep(table)).sentence
    assert "1 of 27 runs have no loss" in sentence
    assert "1 run marked as outlying, kept in the fit" in sentence


def test_doubtful_runs_are_called_doubtful():
    tilted = judge(analyse_sweep(sweep(seeds=4, noise=Noise(run=0.001, seed_tilt=0.02)))).sentence
    assert "Seeds differ by a slope" in tilted
    drifting = sweep(noise=Noise(run=0.001))
    order = np.random.default_rng(0).permutation(len(drifting))
    drifting["started_at"] = pd.Timestamp("2026-01-01", tz="UTC") + pd.to_timedelta(order, unit="h")
    drifting["validation_loss"] += 0.001 * order
    assert "drift with the time" in judge(analyse_sweep(drifting)).sentence
    unstable = sweep(noise=Noise(run=0.001))
    at_moe = unstable["rho"] == 1
    unstable.loc[at_moe, "validation_loss"] += np.array([0.0, 0.06, -0.06])
    assert "The noise differs along rho" in judge(analyse_sweep(unstable)).sentence
    clean = analyse_sweep(sweep()).diagnostics
    assert all(
        p is None or p > 0.01
        for p in (clean.misfit, clean.seed_tilt, clean.unequal_noise, clean.drift)
    )


def test_a_sweep_without_pure_moe_claims_no_gain_over_it():
    result = analyse_sweep(sweep(rho=np.linspace(0.1, 0.9, 9)))
    numbers = as_json(result)
    assert numbers["gain_over_moe"] == {"value": None, "low": None, "high": None}
    assert "No run at rho = 1" in numbers["sentence"]


@pytest.mark.parametrize("seeds", [1, 3])
@pytest.mark.parametrize("truth", ["paper", "flat", "edge_memory"])
def test_the_json_holds_every_field_and_no_nan(truth, seeds):
    numbers = json.loads(
        json.dumps(as_json(analyse_sweep(with_arms(sweep(truth, seeds=seeds)))), allow_nan=False)
    )
    for name in ("rho_star", "near_optimal", "gain_over_moe", "break_even"):
        assert {"value", "low", "high"} <= set(numbers[name])
    assert numbers["verdict"] in VERDICTS
    assert numbers["n_runs"] == 9 * seeds
    assert len(numbers["arms"]) == 3


def test_the_table_per_rho():
    result = analyse_sweep(sweep(noise=Noise(diverged=0.1)))
    table = per_rho(result)
    assert sum(table["runs"]) == len(result.sweep.curve)
    assert np.mean((table["low"] <= table["fitted"]) & (table["fitted"] <= table["high"])) > 0.8
    lowest = table.loc[[int(np.argmin(table["fitted"]))], "near_optimal"]
    assert list(lowest) == [True]
    off = table["fitted"] - TRUTHS["paper"].loss(NINE)
    np.testing.assert_allclose(off, np.mean(off), atol=0.006)  # the level is the seeds' to shift


def test_the_gain_is_split_into_compute_and_memory():
    result = analyse_sweep(with_arms(sweep(noise=Noise(run=0.0005))))
    parts = result.parts
    assert parts is not None
    assert parts.rho == pytest.approx(0.8)
    compute, memory = limits(parts.compute), limits(parts.memory)
    assert compute[1] == pytest.approx(0.001)
    means = dict(zip(result.means.rho.round(6), result.means.loss, strict=True))
    assert compute[1] + memory[1] == pytest.approx(means[1.0] - means[0.8])
    assert memory[0] < memory[1] < memory[2]
    sentence = judge(result).sentence
    assert "Of the gain at rho = 0.80, 0.0010 [" in sentence
    assert "over-encoding at rho = 0.80 0.0060 [" in sentence
    assert "dense -0.4000 [" in sentence
    by_arm = {arm.arm: arm for arm in result.arms}
    assert by_arm["over_encoding"].gain_over_hybrid.value == pytest.approx(
        means[0.8] - means[1.0] + 0.006
    )
    assert (
        by_arm["one_row"].gain_over_hybrid.value is None
    )  # its experts are those of pure MoE, not of a hybrid
    assert by_arm["dense"].gain_over_hybrid.value is None


def test_without_one_row_or_pure_moe_nothing_is_split():
    table = with_arms(sweep())
    for arm in ("one_row", "moe"):
        result = analyse_sweep(table.loc[table["arm"] != arm])
        assert result.parts is None
        assert "Of the gain" not in judge(result).sentence
