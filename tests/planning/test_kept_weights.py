from __future__ import annotations

import pytest

from engram_sweep.cli.plan_view import cost_lines
from engram_sweep.planning import kept_weights
from engram_sweep.planning.cost import cost, price_of
from engram_sweep.planning.kept_weights import keeps_weights, kept_bytes, weight_bytes
from engram_sweep.planning.plan import Plan, make_plan
from tests.examples import load, scale


def planned(keep: str | None) -> Plan:
    return make_plan(scale(launch={"sustained_gflops": 10.0, "keep_weights": keep}))


def line(plan: Plan) -> str:
    lines = cost_lines(plan, cost(plan, price_of(plan.scale.launch)))
    [found] = [line for line in lines if line.startswith("weights: ")]
    return found


def test_small_models_keep_their_weights_and_large_ones_do_not():
    assert keeps_weights(make_plan(load("tiny")))
    large = make_plan(load("dense-4B"))
    assert not keeps_weights(large)
    assert kept_bytes(large) == 0
    assert "not kept (more than 0.1 GB a run; launch.keep_weights: final keeps them)" in line(large)


def test_the_key_wins(monkeypatch):
    plan = planned(None)
    total = sum(weight_bytes(run) for run in plan.runs)
    assert kept_bytes(plan) == kept_bytes(planned("final")) == total
    assert line(plan).endswith("(up to 0.1 GB a run; launch.keep_weights: none drops them)")
    assert kept_bytes(planned("none")) == 0
    assert line(planned("none")).endswith("a run, not kept (launch.keep_weights: none)")
    monkeypatch.setattr(kept_weights, "MAX_KEPT_BYTES", 0)
    assert not keeps_weights(plan)
    assert keeps_weights(planned("final"))


def test_whether_weights_are_kept_is_not_part_of_a_runs_identity():
    ids = {tuple(run.run_id for run in planned(keep).runs) for keep in (None, "none", "final")}
    assert len(ids) == 1


def test_weights_by_hand():
    run = planned(None).runs[0]
    assert weight_bytes(run) == 4 * sum(e.count for e in run.allocation.ledger.entries)


@pytest.mark.parametrize("keep", ["none", "final"])
def test_the_disk_counts_what_is_kept(keep):
    gpu = {"gpu": "h100", "gpus": 4, "keep_weights": keep}
    plan = make_plan(scale(launch=gpu, sweep__rho=[1.0], sweep__seeds=[0, 1]))
    size = weight_bytes(plan.runs[0])
    found = cost(plan, price_of(plan.scale.launch))
    # Two checkpoints of weights and two moments each, of the one run in flight.
    assert found["disk_bytes"] == 2 * size * (keep == "final") + 2 * 3 * size
    assert found["kept_bytes"] == 2 * size * (keep == "final")
