from __future__ import annotations

import pytest

from engram_sweep.errors import UserError
from engram_sweep.planning.allocation import ACTIVE_TOLERANCE, TOTAL_TOLERANCE
from engram_sweep.planning.arms import is_variant
from engram_sweep.planning.plan import make_plan
from tests.examples import scale

VARIANTS = {
    "no_gate": {"memory.gate": False},
    "order_4": {"memory.max_order": 4},
    "first_block": {"memory.layers": [0]},
}


def test_variants_train_beside_the_whole_module_and_move_no_id():
    plain = make_plan(scale())
    plan = make_plan(scale(sweep__variants=VARIANTS))
    added = [run for run in plan.runs if is_variant(run.spec.arm)]
    others = [run for run in plan.runs if not is_variant(run.spec.arm)]
    assert [run.run_id for run in others] == [run.run_id for run in plain.runs]
    # Five rho have a memory; rho = 1 has none to change.
    assert len(added) == len({run.run_id for run in added}) == 3 * 5 * 2
    whole = {(run.spec.rho, run.spec.seed): run for run in others}
    for run in added:
        beside = whole[run.spec.rho, run.spec.seed]
        assert run.allocation.rho_asked == beside.allocation.rho_asked
        assert run.spec.geometry.routed_experts == beside.spec.geometry.routed_experts
        assert run.spec.training == beside.spec.training
        ledger, anchor = run.allocation.ledger, run.allocation.anchor
        assert abs(ledger.params_total / anchor.params_total - 1) <= TOTAL_TOLERANCE
        for key in ("params_active", "flops_per_token"):
            assert abs(getattr(ledger, key) / getattr(anchor, key) - 1) <= ACTIVE_TOLERANCE
    assert max(plan.held().values()) <= ACTIVE_TOLERANCE


def test_a_variant_differs_from_the_whole_module_in_what_it_names():
    plan = make_plan(scale(sweep__variants=VARIANTS, sweep__variant_rho=[0.4], sweep__seeds=[0]))
    at = {run.spec.arm: run.spec.geometry for run in plan.runs if run.allocation.rho_asked == 0.4}
    assert list(at) == ["engram", *(f"engram/{name}" for name in VARIANTS)]
    memories = {arm: geometry.memory for arm, geometry in at.items() if geometry.memory}
    assert list(memories) == list(at)
    changed = {
        arm: {
            key
            for key, value in vars(memory).items()
            if key != "rows" and value != getattr(memories["engram"], key)
        }
        for arm, memory in memories.items()
    }
    assert list(changed.values()) == [set(), {"gate"}, {"max_order"}, {"layers"}]
    assert len(memories["engram/order_4"].orders) == 3


def test_variants_of_a_table_of_given_size_keep_its_parameters():
    plan = make_plan(
        scale(
            sweep__rho=[1.0],
            sweep__iso="paper",
            sweep__rows_per_head=[100, 1000],
            sweep__variants=VARIANTS,
            sweep__seeds=[0],
        )
    )
    tables = {
        (run.spec.arm, run.axes.rows_per_head): run.allocation.ledger.params_table
        for run in plan.runs
    }
    assert len(tables) == 2 * 4
    for (arm, rows), params in tables.items():
        assert params == pytest.approx(tables["engram", rows], rel=0.02), arm


def test_a_variant_that_does_not_fit_says_which():
    wide = {"wide": {"memory.head_dim": 400}}
    with pytest.raises(UserError, match=r"sweep.variants.wide: no integer solution at rho = 0.8"):
        make_plan(scale(sweep__variants=wide))
