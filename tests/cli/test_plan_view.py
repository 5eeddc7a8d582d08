"""What a person reads of a plan; its numbers are tested in tests/planning."""

from __future__ import annotations

from collections import Counter

import pytest

from engram_sweep.cli import plan_view
from engram_sweep.config.slurm import Shape
from engram_sweep.placement import Placement
from engram_sweep.planning.cost import cost, price_of
from engram_sweep.planning.plan import Plan, make_plan
from tests.examples import load, scale


@pytest.fixture(scope="module")
def large() -> Plan:
    return make_plan(load("10B"))


def printed(capsys: pytest.CaptureFixture[str]) -> str:
    return " ".join(capsys.readouterr().out.split())


def test_a_plan_lists_its_points_once_and_not_its_seeds(
    smoke_plan: Plan, capsys: pytest.CaptureFixture[str]
) -> None:
    plan_view.print_plan(smoke_plan, cost(smoke_plan, price_of(smoke_plan.scale.launch)))
    text = printed(capsys)
    assert "6 runs (3 points x 2 seeds)" in text
    arms = [run.spec.arm for run in smoke_plan.runs if run.spec.seed == 0]
    assert {arm: text.count(f"│ {arm} │") for arm in arms} == Counter(arms)
    assert "worker-hours" in text
    assert "money" not in text


def test_more_runs_at_the_anchor_are_counted_apart(capsys: pytest.CaptureFixture[str]) -> None:
    plan = make_plan(scale(sweep__anchor_seeds=[2, 3]))
    plan_view.print_plan(plan, cost(plan, price_of(plan.scale.launch)))
    assert "14 runs (6 points x 2 seeds, 2 runs more at rho = 1)" in printed(capsys)


def test_a_plan_for_gpus_is_priced(large: Plan, capsys: pytest.CaptureFixture[str]) -> None:
    estimate = cost(large, price_of(large.scale.launch, "h100", 0.4, 64, 2.5))
    plan_view.print_plan(large, estimate)
    text = printed(capsys)
    assert f"money: {estimate['gpu_hours'] * 2.5:,.0f} at 2.5 per GPU-hour" in text
    assert "at 40% of 989" in text
    assert "on 64 GPUs" in text


def test_the_ledger_prints_every_component(large: Plan, capsys: pytest.CaptureFixture[str]) -> None:
    run = next(run for run in large.runs if run.spec.rho < 1)
    plan_view.print_ledger(run, Placement(replicas=4, shards=8))
    text = printed(capsys)
    ledger = run.allocation.ledger
    assert f"P_tot {ledger.params_total:,}, P_act {ledger.params_active:,}" in text
    assert "32 GPUs" in text


def test_a_plan_names_mesh_memory_and_what_bounds_a_step(
    large: Plan, capsys: pytest.CaptureFixture[str]
) -> None:
    estimate = cost(large, price_of(large.scale.launch))
    plan_view.print_plan(large, estimate)
    text = printed(capsys)
    assert "mesh: 4 x 8 GPUs" in text
    assert "a step of 1 micro-batch of 15 windows a GPU; blocks computed again" in text
    assert f"memory: {estimate['memory']['total'] / 1e9:.1f} GB of 72.0 GB per GPU" in text
    assert "bound by compute" in text
    assert "compute bounds it from micro-batches of 2 windows on" in text
    assert "DOES NOT FIT" not in text


def test_what_does_not_fit_says_what_would(capsys: pytest.CaptureFixture[str]) -> None:
    plan = make_plan(load("engram-40B"))
    plan_view.print_plan(plan, cost(plan, price_of(plan.scale.launch), Shape(1, 8, 8)))
    wanted = (
        "DOES NOT FIT: the smallest mesh that would do is launch.gpus: 16 with launch.shard: 16"
    )
    assert wanted in printed(capsys)


def test_tables_of_the_host_are_not_memory_of_a_gpu(capsys: pytest.CaptureFixture[str]) -> None:
    plan = make_plan(scale(launch={"gpu": "h100", "tables": "host"}))
    estimate = cost(plan, price_of(plan.scale.launch))
    plan_view.print_plan(plan, estimate)
    assert "tables in host memory" in printed(capsys)
    assert estimate["memory"]["tables"] == 0 < estimate["host_bytes"]


@pytest.mark.parametrize(
    ("hours", "words"), [(0.26, "0.3 hours"), (47.9, "47.9 hours"), (48, "2.0 days")]
)
def test_long_durations_are_days(hours: float, words: str) -> None:
    assert plan_view._duration(hours) == words
