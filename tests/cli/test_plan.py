from __future__ import annotations

import json

from tests.conftest import call


def test_plan_json_has_the_documented_fields() -> None:
    done = call("plan", "tiny", "--json")
    assert done.returncode == 0, done.stderr
    plan = json.loads(done.stdout)
    wanted = "run_id arm rho seed routed_experts params_total params_active flops_per_token tokens"
    assert all(set(wanted.split()) <= set(run) for run in plan["runs"])
    assert plan["cost"]["runs"] == len(plan["runs"])
    assert plan["cost"]["tokens"] == sum(run["tokens"] for run in plan["runs"])
