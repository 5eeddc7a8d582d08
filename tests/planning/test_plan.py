from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from engram_sweep.config.scale import scale_names
from engram_sweep.errors import UserError
from engram_sweep.planning.allocation import ACTIVE_TOLERANCE, TOTAL_TOLERANCE
from engram_sweep.planning.cost import cost, price_of
from engram_sweep.planning.plan import make_plan, total_with_vocabulary
from engram_sweep.spec import run_id
from tests.examples import ROOT, SWEEPS, load, scale


def test_runs_are_the_product_of_points_and_seeds_seed_by_seed():
    plan = make_plan(scale())
    assert [run.spec.seed for run in plan.runs] == [0] * 6 + [1] * 6
    assert [run.allocation.rho_asked for run in plan.runs] == [1.0, 0.8, 0.6, 0.4, 0.2, 0.0] * 2
    assert [run.spec.arm for run in plan.runs[:6]] == ["moe"] + ["engram"] * 5
    assert len({run.run_id for run in plan.runs}) == 12


@pytest.mark.parametrize(
    "most",
    [
        {"model__n_layers": 1000},
        {"model__d_model": 10**7},
        {"model__n_heads": 10**4},
        {"model__routed_experts": 10**6},
        {"model__shared_width": 10**7},
        {"memory__heads": 256, "model__shared_width": 10**5, "model__routed_experts": 10**5},
        {"memory__max_order": 64, "model__shared_width": 10**5, "model__routed_experts": 10**5},
        {"memory__max_order": 64, "memory__heads": 256, "model__shared_width": 10**6},
        {"training__tokens": 10**18},
        {"training__window": 10**9},
        {"training__batch_windows": 10**6, "launch__gpu": "h100", "launch__sustained_gflops": None},
    ],
    ids=" ".join,
)
def test_the_largest_values_that_a_scale_may_have_are_planned_or_refused_soon(most):
    try:
        plan = make_plan(scale(**most))
    except UserError:
        return
    assert cost(plan, price_of(plan.scale.launch))["flops"] > 0


def test_runs_of_a_seed_are_trained_in_an_order_that_follows_no_rho():
    """The same order on every machine, seed by seed, another one for every seed."""
    plan = make_plan(scale())
    trained = sorted(plan.runs, key=lambda run: run.place)
    assert [run.place for run in trained] == list(range(12))
    assert [run.spec.seed for run in trained] == [0] * 6 + [1] * 6
    orders = [[run.spec.rho for run in trained if run.spec.seed == seed] for seed in (0, 1)]
    assert orders[0] != orders[1]
    for order in orders:
        assert order not in (sorted(order), sorted(order, reverse=True))
    assert [run.place for run in make_plan(scale()).runs] == [run.place for run in plan.runs]


def test_the_anchor_has_its_own_seeds_and_no_id_changes():
    plain = make_plan(scale(sweep__arms={"one_row": True}))
    plan = make_plan(scale(sweep__arms={"one_row": True}, sweep__anchor_seeds=[1, 2, 3, 4]))
    ids = {run.run_id for run in plain.runs}
    added = [run for run in plan.runs if run.run_id not in ids]
    assert {run.run_id for run in plan.runs} > ids
    assert [(run.spec.arm, run.spec.rho, run.spec.seed) for run in added] == [
        ("moe", 1.0, seed) for seed in (2, 3, 4)
    ]
    # They are trained among the others and not all at the end.
    assert sorted(run.place for run in plan.runs) == list(range(17))
    assert min(run.place for run in added) < 8


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
    assert [run.spec.arm for run in plan.runs] == [
        "moe",
        "engram",
        "over_encoding",
        "one_row",
        "dense",
    ] * 2


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("executor", "inline"),
        ("parallel", 7),
        ("timeout_minutes", 5),
        ("retries", {"node": 0}),
        ("sustained_gflops", 99.0),
        ("corpus_path", "/data"),
        ("gpus", 4),
        ("mfu", 0.1),
    ],
)
def test_where_it_runs_is_not_part_of_the_identity(key, value):
    # Only shards lie in a folder that is named.
    corpus = {"corpus__source": "shards"}
    here, there = scale(**corpus), scale(**corpus, **{f"launch__{key}": value})
    assert [run.run_id for run in make_plan(there).runs] == [
        run.run_id for run in make_plan(here).runs
    ]


def test_names_are_not_part_of_the_identity():
    other = scale(about="another").model_copy(update={"name": "other"})
    assert make_plan(other).runs[3].run_id == make_plan(scale()).runs[3].run_id


def test_a_whole_number_is_the_float_it_means():
    ones = make_plan(scale(sweep__rho=[1, 0], training__clip_norm=1))
    floats = make_plan(scale(sweep__rho=[1.0, 0.0], training__clip_norm=1.0))
    assert [r.run_id for r in ones.runs] == [r.run_id for r in floats.runs]


def test_tokens_come_in_whole_steps():
    run = make_plan(scale()).runs[0]
    assert run.tokens == round(100_000 / 512) * 512
    assert run.flops == run.allocation.ledger.flops_per_token * run.tokens


def test_rows_have_the_documented_fields():
    row = make_plan(scale()).runs[3].row()
    wanted = (
        "run_id arm rho rho_asked seed routed_experts params_total params_active "
        "flops_per_token tokens"
    )
    assert set(wanted.split()) <= set(row)
    assert row["rows_per_head"][0] < row["rows_per_head"][1]
    assert make_plan(scale()).runs[0].row()["rows_per_head"] is None


@pytest.mark.parametrize("name", scale_names(SWEEPS))
def test_every_shipped_scale_plans(name):
    assert make_plan(load(name)).runs


def test_planning_loads_no_torch():
    code = (
        "import sys, engram_sweep.planning.plan, engram_sweep.config.scale; "
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


def test_the_plan_command_loads_no_torch(tmp_path: Path):
    code = (
        "import sys; from engram_sweep.cli.main import main; sys.argv[1:] = ['plan', 'smoke'];"
        "code = main(); sys.exit(code or 'torch' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "6 runs (3 points x 2 seeds)" in done.stdout


def test_axes_multiply_and_runs_name_their_values():
    plan = make_plan(
        scale(
            training__tokens=None,
            sweep__rho=[1.0, 0.5],
            sweep__seeds=[0],
            sweep__total_over_active=[4.0, 6.0],
            sweep__tokens_per_active=[2, 4],
        )
    )
    rows = [run.row() for run in plan.runs]
    assert [(r["total_over_active"], r["tokens_per_active"], r["rho_asked"]) for r in rows] == [
        (ratio, tokens, rho) for ratio in (4.0, 6.0) for tokens in (2, 4) for rho in (1.0, 0.5)
    ]
    assert len({r["run_id"] for r in rows}) == 8
    for anchor, point in zip(rows[::2], rows[1::2], strict=True):
        assert anchor["params_total"] / anchor["params_active"] == pytest.approx(
            anchor["total_over_active"], rel=0.01
        )
        assert anchor["tokens"] == point["tokens"]
        wanted = anchor["tokens_per_active"] * anchor["params_active"]
        assert abs(anchor["tokens"] - wanted) <= 64 * 8 / 2


def test_an_axis_of_one_value_is_the_plain_scale():
    """Naming the ratio and the tokens that a scale has anyway gives the same runs."""
    plain = make_plan(scale())
    book = plain.runs[0].allocation.ledger
    ratio = book.params_total / book.params_active
    assert [r.run_id for r in make_plan(scale(sweep__total_over_active=[ratio])).runs] == [
        r.run_id for r in plain.runs
    ]
    per_active = make_plan(
        scale(training__tokens=None, sweep__tokens_per_active=[100_000 / book.params_active])
    )
    assert [r.run_id for r in per_active.runs] == [r.run_id for r in plain.runs]
    budget = make_plan(
        scale(training__tokens=None, sweep__budgets=[6.0 * 100_000 * book.params_active])
    )
    assert [r.run_id for r in budget.runs] == [r.run_id for r in plain.runs]


def test_a_ratio_out_of_reach_says_what_there_is():
    with pytest.raises(
        UserError,
        match=r"sweep\.total_over_active: 500 cannot be met within 1%; .* and no number of",
    ):
        make_plan(scale(sweep__total_over_active=[500.0]))
    with pytest.raises(
        UserError, match=r"total_over_active: 1\.01 cannot be met .*; 4 routed experts give 1\.\d+"
    ):
        make_plan(scale(sweep__total_over_active=[1.01]))


def test_tables_of_fixed_size_come_on_top():
    plan = make_plan(
        scale(
            sweep__rho=[1.0],
            sweep__seeds=[0],
            sweep__rows_per_head=[0, 500, 1000],
            sweep__arms={"over_encoding": [1.0]},
        )
    )
    rows = [run.row() for run in plan.runs]
    assert [(r["arm"], r["rows_per_head_asked"]) for r in rows] == [
        ("moe", 0),
        ("engram", 500),
        ("over_encoding", 500),
        ("engram", 1000),
        ("over_encoding", 1000),
    ]
    assert all(r["routed_experts"] == 40 and r["rho"] == 1.0 for r in rows)
    tables = 2 * 2 * 4 * 4
    for row in rows[1:]:
        # Rows are whole, and their sum is met to one or so.
        assert abs(row["params_table"] - row["rows_per_head_asked"] * tables) <= 2 * 5
        assert abs(row["params_active"] / rows[0]["params_active"] - 1) <= ACTIVE_TOLERANCE
    assert rows[1]["rows_per_head"][0] < 500 < rows[1]["rows_per_head"][1]


def test_budget_is_met_or_says_the_nearest_that_meets_it():
    book = make_plan(scale()).runs[0].allocation.ledger
    total, active = book.params_total, book.params_active
    assert make_plan(scale(budget={"params_total": total * 1.005, "params_active": active * 0.995}))
    with pytest.raises(
        UserError, match=r"budget\.params_total: .*the nearest is model\.routed_experts: (\d+)$"
    ) as no:
        make_plan(scale(budget={"params_total": total * 1.5}))
    experts = int(str(no.value).rsplit(" ", 1)[1])
    assert make_plan(scale(budget={"params_total": total * 1.5}, model__routed_experts=experts))
    with pytest.raises(
        UserError, match=r"budget\.params_active: .*the nearest is model\.shared_width: (\d+)$"
    ) as no:
        make_plan(scale(budget={"params_active": active * 1.2}))
    width = int(str(no.value).rsplit(" ", 1)[1])
    assert make_plan(scale(budget={"params_active": active * 1.2}, model__shared_width=width))


@pytest.mark.parametrize("matrices", [0, 1, 2])
def test_a_budget_may_count_the_vocabulary(matrices: int):
    book = make_plan(scale()).runs[0].allocation.ledger
    total = book.params_total + matrices * 256 * 64
    assert total_with_vocabulary(book, matrices) == total
    budget = {"params_total": total, "slack": 1e-3, "vocabulary_matrices": matrices}
    assert make_plan(scale(budget=budget))
    with pytest.raises(UserError, match=r"budget\.params_total"):
        make_plan(scale(budget={**budget, "params_total": total + 256 * 64}))


def test_the_budget_of_p_act_is_that_of_rho_1():
    """Under `iso: paper` the module comes on top of what is printed."""
    runs = make_plan(scale(sweep__iso="paper")).runs
    anchor = runs[0].allocation.ledger.params_active
    assert max(run.allocation.ledger.params_active for run in runs) > 1.01 * anchor
    assert make_plan(scale(sweep__iso="paper", budget={"params_active": anchor, "slack": 0}))


def test_large_models_have_aligned_shared_widths():
    for run in make_plan(load("10B")).runs:
        assert all(width % 8 == 0 for width in run.spec.geometry.shared_width)
    assert any(w % 8 for run in make_plan(scale()).runs for w in run.spec.geometry.shared_width)


def test_what_is_held_is_the_largest_miss_along_the_curve():
    assert make_plan(scale(sweep__rho=[1.0])).held() == {
        "params_total": 0,
        "params_active": 0,
        "flops_per_token": 0,
    }
    strict, paper = make_plan(scale()).held(), make_plan(scale(sweep__iso="paper")).held()
    assert 0 < strict["params_active"] <= ACTIVE_TOLERANCE < paper["params_active"]
    assert paper["params_total"] <= TOTAL_TOLERANCE
    fixed = make_plan(load("3B-ablation")).held()
    assert fixed["params_total"] == pytest.approx(1.6 / 3.02, rel=0.01)
    # The module's projections come on top of the backbone, as in the paper.
    assert ACTIVE_TOLERANCE < fixed["params_active"] < 0.02
