import json

import numpy as np
import pytest

from analysis.report.numbers import as_json, per_rho
from analysis.simulation.sweeps import TRUTHS, Noise
from analysis.sweep.sweep_analysis import analyse_sweep
from analysis.sweep.verdict import VERDICTS
from tests.analysis.tables import NINE, sweep, with_arms


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
    for name in ("rho_star", "single_dip", "near_optimal", "gain_over_moe", "break_even"):
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
