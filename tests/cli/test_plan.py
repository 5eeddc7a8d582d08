from __future__ import annotations

import json

import pytest

from engram_sweep.cli.main import main
from tests.conftest import call
from tests.examples import SWEEPS

ADAPTIVE = ["--set", "sweep.design=adaptive", "--set", "sweep.seeds=[0,1,2]"]
"""tiny-axes, its runs chosen while it goes on."""


def test_plan_json_has_the_documented_fields() -> None:
    done = call("plan", "tiny", "--json")
    assert done.returncode == 0, done.stderr
    plan = json.loads(done.stdout)
    wanted = "run_id arm rho seed routed_experts params_total params_active flops_per_token tokens"
    assert all(set(wanted.split()) <= set(run) for run in plan["runs"])
    assert plan["cost"]["runs"] == len(plan["runs"])
    assert plan["cost"]["tokens"] == sum(run["tokens"] for run in plan["runs"])


def test_an_adaptive_plan_shows_its_pilot_its_rules_and_the_most_it_may_cost(
    capsys: pytest.CaptureFixture[str],
) -> None:
    words = ["plan", "tiny-axes", "--sweeps", str(SWEEPS), *ADAPTIVE]
    assert main([*words, "--json"]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert len(plan["runs"]) == 5 * 3 * 3, "all candidates"
    rules, pilot = plan["adaptive"]["rules"], plan["adaptive"]["pilot"]
    assert rules["width"] == 0.2
    assert plan["adaptive"]["pilot_cost"]["runs"] == len(pilot) == 10 + 5 + 4
    assert plan["cost"]["runs"] == len(pilot) + rules["batch"] * (rules["looks"] - 1)
    assert set(pilot) <= {run["run_id"] for run in plan["runs"]}
    assert main(words) == 0
    shown = capsys.readouterr().out
    assert "adaptive, from these candidates: a pilot of 19 runs" in shown
    assert "until the 90 % interval of rho* at length 40 is no wider than 0.2" in shown
    assert "37 runs (at most: the pilot, and the longest runs after it)" in shown
