from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from engram_sweep.plan import make_plan
from engram_sweep.scale import scale_names
from engram_sweep.spec import run_id
from tests.examples import ROOT, SWEEPS, load, scale


def test_runs_are_the_product_of_points_and_seeds_seed_by_seed():
    plan = make_plan(scale())
    assert [run.spec.seed for run in plan.runs] == [0] * 6 + [1] * 6
    assert [run.allocation.rho_asked for run in plan.runs] == [1.0, 0.8, 0.6, 0.4, 0.2, 0.0] * 2
    assert [run.spec.arm for run in plan.runs[:6]] == ["moe"] + ["engram"] * 5
    assert len({run.run_id for run in plan.runs}) == 12


def test_ids_are_those_of_the_specs():
    for run in make_plan(scale()).runs:
        assert run.run_id == run_id(run.spec)
        assert run.scale == "example"
        assert run.spec.geometry == run.allocation.geometry


def test_points_that_round_to_one_solution_are_one_run():
    plan = make_plan(scale(sweep__rho=[1.0, 0.5, 0.501], sweep__seeds=[0]))
    assert [run.allocation.rho_asked for run in plan.runs] == [1.0, 0.5]


def test_arms_are_added_for_every_seed():
    arms = {"over_encoding": [0.5], "one_row": True, "dense": True}
    plan = make_plan(scale(sweep__rho=[1.0, 0.5], sweep__arms=arms))
    assert [run.spec.arm for run in plan.runs] == ["moe", "engram", "over_encoding", "one_row", "dense"] * 2


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("executor", "inline"),
        ("parallel", 7),
        ("timeout_minutes", 5),
        ("retries", 0),
        ("sustained_gflops", 99.0),
    ],
)
def test_where_it_runs_is_not_part_of_the_identity(key, value):
    there = make_plan(scale(**{f"launch__{key}": value}))
    assert [run.run_id for run in there.runs] == [run.run_id for run in make_plan(scale()).runs]


def test_names_are_not_part_of_the_identity():
    other = scale(about="another").model_copy(update={"name": "other"})
    assert make_plan(other).runs[3].run_id == make_plan(scale()).runs[3].run_id


def test_a_whole_number_is_the_float_it_means():
    ones = make_plan(scale(sweep__rho=[1, 0], training__clip_norm=1))
    floats = make_plan(scale(sweep__rho=[1.0, 0.0], training__clip_norm=1.0))
    assert [r.run_id for r in ones.runs] == [r.run_id for r in floats.runs]


def test_tokens_come_in_whole_steps_and_the_cost_adds_up():
    plan = make_plan(scale())
    run = plan.runs[0]
    assert run.tokens == round(100_000 / 512) * 512
    assert run.flops == run.allocation.ledger.flops_per_token * run.tokens
    cost = plan.cost()
    assert cost["runs"] == 12
    assert cost["tokens"] == 12 * run.tokens
    assert cost["flops"] == sum(r.flops for r in plan.runs)
    assert cost["worker_hours"] == pytest.approx(cost["flops"] / 10e9 / 3600)


def test_rows_have_the_documented_fields():
    row = make_plan(scale()).runs[3].row()
    wanted = "run_id arm rho rho_asked seed routed_experts params_total params_active flops_per_token tokens"
    assert set(wanted.split()) <= set(row)
    assert row["rows_per_head"][0] < row["rows_per_head"][1]
    assert make_plan(scale()).runs[0].row()["rows_per_head"] is None


@pytest.mark.parametrize("name", scale_names(SWEEPS))
def test_every_shipped_scale_plans_within_a_second(name):
    example = load(name)
    started = time.perf_counter()
    plan = make_plan(example)
    assert time.perf_counter() - started < 1
    assert plan.runs


def test_planning_loads_no_torch():
    code = "import sys, engram_sweep.plan, engram_sweep.scale; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


def test_the_plan_command_loads_no_torch(tmp_path: Path):
    code = (
        "import sys; from engram_sweep.cli import main; sys.argv[1:] = ['plan', 'smoke'];"
        "code = main(); sys.exit(code or 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "12" in done.stdout or "6 runs" in done.stdout
