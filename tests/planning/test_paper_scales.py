"""The scales of the paper in `sweeps/`, against what it and arXiv 2512.24880 (mHC) print."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from engram_sweep.planning.ledger import ledger
from engram_sweep.planning.plan import make_plan, total_with_vocabulary
from engram_sweep.spec import Geometry, MLAGeometry
from tests.examples import load

PRINTED = {
    # scale: (P_tot, unit of its last digit, vocabulary matrices in it, P_act, unit of its last
    # digit, experts of the points named)
    "5.7B": (5.7e9, 0.1e9, 0, 568e6, 1e6, {1.0: 106, 0.4: 46}),
    "10B": (9.9e9, 0.1e9, 0, 993e6, 1e6, {1.0: 99, 0.4: 43}),
    "moe-27B": (26.7e9, 0.1e9, 1, 3.8e9, 0.1e9, {1.0: 72}),
    "engram-27B": (26.7e9, 0.1e9, 1, 3.8e9, 0.1e9, {0.743: 55}),
    "engram-40B": (39.5e9, 0.1e9, 1, 3.8e9, 0.1e9, {0.743: 55}),
    "dense-4B": (4.1e9, 0.1e9, 1, 3.8e9, 0.1e9, {0.0: 0}),
}


@pytest.mark.parametrize("name", PRINTED)
def test_scales_of_the_paper_meet_what_it_prints(name):
    """To the printed digits, and independent of the files' own `budget`.

    The numbers of the paper's section 3.1 and Table 5; P_act is that of rho = 1.
    """
    total, total_unit, matrices, active, active_unit, experts = PRINTED[name]
    runs = make_plan(load(name)).runs
    for run in runs:
        found = total_with_vocabulary(run.allocation.ledger, matrices)
        assert abs(found - total) <= total_unit / 2
        assert abs(run.allocation.anchor.params_active - active) <= active_unit / 2
    for rho, count in experts.items():
        assert {r.spec.geometry.routed_experts for r in runs if r.allocation.rho_asked == rho} == {
            count
        }


def test_the_ablation_adds_its_memory_to_a_3b_backbone():
    without, added = make_plan(load("3B-ablation")).runs[:2]
    assert without.allocation.ledger.params_total == pytest.approx(3e9, rel=0.01)
    assert added.allocation.ledger.params_table == pytest.approx(1.6e9, rel=0.001)
    assert without.allocation.ledger.params_active == pytest.approx(0.56e9, rel=0.02)
    assert added.spec.geometry.shared_width == without.spec.geometry.shared_width


def test_the_variants_of_figure_5_stand_beside_the_ablation_s_memory():
    """The same backbone and memory: both scales share these runs; tables keep their parameters."""
    runs = {run.spec.arm: run for run in make_plan(load("3B-variants")).runs[:12]}
    shared = {run.spec.arm: run for run in make_plan(load("3B-ablation")).runs[:2]}
    assert {arm: run.run_id for arm, run in runs.items() if "/" not in arm} == {
        arm: run.run_id for arm, run in shared.items()
    }
    table = runs["engram"].allocation.ledger.params_table
    assert len(runs) == 2 + 10
    for arm, run in runs.items():
        if "/" in arm:
            assert run.allocation.ledger.params_table == pytest.approx(table, rel=1e-6), arm


def test_the_infinite_memory_sweep_has_the_printed_sizes_on_one_backbone():
    runs = make_plan(load("3B-infinite")).runs
    asked = sorted({run.row()["rows_per_head_asked"] for run in runs})
    assert (asked[0], asked[1], asked[-1]) == (0, 2.58e5, 1e7)
    backbones = {(run.spec.geometry.routed_experts, run.spec.geometry.shared_width) for run in runs}
    assert len(backbones) == 1
    largest = max(run.allocation.ledger.params_table for run in runs)
    assert largest == pytest.approx(12.8e9, rel=1e-4)


@pytest.mark.parametrize(
    "name", ["5.7B", "10B", "3B-ablation", "3B-infinite", "moe-27B", "engram-27B", "engram-40B"]
)
def test_scales_of_the_paper_warm_up_for_2000_steps(name):
    training = make_plan(load(name)).runs[0].spec.training
    assert round(training.warmup_share * training.steps) == 2000


@pytest.mark.parametrize(
    ("name", "rows", "size"),
    [("engram-27B", 2_262_400, 5.79e9), ("engram-40B", 7_239_680, 18.53e9)],
)
def test_memories_have_the_printed_rows(name, rows, size):
    (run,) = make_plan(load(name)).runs
    memory = run.spec.geometry.memory
    assert memory is not None
    heads = [p for table in memory.rows for order in table for p in order]
    assert len(heads) == 32
    assert sum(heads) / len(heads) == pytest.approx(rows, rel=1e-6)
    assert run.allocation.ledger.params_table == pytest.approx(size, rel=0.001)


def test_engram_27b_holds_the_budget_of_moe_27b():
    (engram,), (moe,) = make_plan(load("engram-27B")).runs, make_plan(load("moe-27B")).runs
    books = engram.allocation.ledger, moe.allocation.ledger
    assert books[0].params_total == pytest.approx(books[1].params_total, rel=5e-4)
    # The paper's own slack: it does not take W_K, W_V and the rows out of anything.
    assert 0 < books[0].params_active / books[1].params_active - 1 < 0.01


def family(width: int, expert: int, heads: int, layers: int, experts: int) -> Geometry:
    """A model of the family that arXiv 2512.24880 prints in Table 5, without a memory.

    One leading dense layer of 8 x expert width; six of the routed and two shared experts active;
    MLA of kv rank 512 and no query rank; four streams.
    """
    return Geometry(
        vocab_size=129_280,
        d_model=width,
        n_layers=layers,
        n_heads=heads,
        n_kv_heads=heads,
        head_dim=128 + 64,
        mla=MLAGeometry(
            q_lora_rank=0,
            kv_lora_rank=512,
            qk_nope_head_dim=128,
            qk_rope_head_dim=64,
            v_head_dim=128,
        ),
        streams=4,
        expert_width=expert,
        routed_experts=experts,
        top_k=6,
        shared_width=(8 * expert,) + (2 * expert,) * (layers - 1),
        dense_layers=1,
        rope_theta=10_000.0,
        norm_eps=1e-20,
        routed_scaling_factor=1.0,
        init_std=0.02,
        memory=None,
        memory_at_input=False,
    )


@pytest.mark.parametrize(
    ("shape", "active", "total"),
    [
        ((1280, 896, 16, 12, 64), 612.3e6, 2.973e9),
        ((1920, 1280, 24, 18, 64), 1660.7e6, 9.178e9),
        ((2560, 1536, 32, 30, 72), 4138.9e6, 27.048e9),
    ],
)
def test_the_printed_models_of_the_family_have_the_printed_sizes(shape, active, total):
    """Printed: 612M of 2.97B, 1.66B of 9.18B, 4.14B of 27.0B.

    Activated with the LM head, in all with both matrices of the vocabulary.
    """
    book = ledger(family(*shape), 4096)
    vocabulary = 129_280 * shape[0]
    assert book.params_active + vocabulary == pytest.approx(active, abs=0.05e6)
    assert book.params_total + 2 * vocabulary == pytest.approx(total, abs=0.5e6)


STEP = 32
"""Widths of the scan are multiples of it."""


def scan(
    heads: int, layers: int, experts: int, total: float, active: float
) -> Iterator[tuple[int, int]]:
    """Yield the widths (d_model, expert) with which the family meets P_tot and P_act.

    To half of their last printed digits: 0.1B and 1M.
    """
    for width in range(1024, 2561, STEP):
        # P_act is linear in the expert's width, so two of them show which is the nearest.
        low, high = (
            ledger(family(width, expert, heads, layers, experts), 4096).params_active
            for expert in (STEP, 2 * STEP)
        )
        expert = STEP * round(1 + (active - low) / (high - low))
        if expert < STEP:
            continue
        book = ledger(family(width, expert, heads, layers, experts), 4096)
        if abs(book.params_active - active) <= 0.5e6 and abs(book.params_total - total) <= 0.05e9:
            yield width, expert


def test_the_smaller_budget_of_the_paper_has_two_solutions_in_the_family():
    """12 layers as the ablation model of that P_act, 16 heads as the printed 12-layer model."""
    found = list(scan(heads=16, layers=12, experts=106, total=5.7e9, active=568e6))
    assert found == [(1344, 1152), (1376, 1120)]
    model = load("5.7B").model
    assert (model.d_model, model.expert_width) in found


def test_the_larger_budget_of_the_paper_is_met_nearest_to_the_family_s_width_per_head():
    """Its depth is not printed. The three printed models have 80 channels of d_model per head."""
    found = [
        (width, expert, heads, layers)
        for layers in range(12, 21)
        for heads in range(16, 25, 2)
        for width, expert in scan(heads, layers, experts=99, total=9.9e9, active=993e6)
    ]
    assert len(found) == 8
    model = load("10B").model
    chosen = (model.d_model, model.expert_width, model.n_heads, model.n_layers)
    assert chosen == min(found, key=lambda at: abs(at[0] / at[2] - 80)) == (1472, 1664, 18, 14)


RECIPES = {
    # widths, heads, layers and experts of arXiv 2512.24880, Table 5: rate, windows a step, steps
    (1280, 896, 16, 12, 64): (8.6e-4, 320, 30_000),
    (1920, 1280, 24, 18, 64): (5.9e-4, 512, 50_000),
    (2560, 1536, 32, 30, 72): (4.0e-4, 1280, 50_000),
}


@pytest.mark.parametrize("name", ["5.7B", "10B", "3B-ablation", "3B-infinite"])
def test_rates_and_batches_are_interpolated_between_the_printed_ones(name):
    """Straight lines in the logarithms of C = 6 P_act tokens, batches in multiples of the GPUs."""
    budgets = [
        6.0 * ledger(family(*shape), 4096).params_active * batch * steps * 4096
        for shape, (_, batch, steps) in RECIPES.items()
    ]
    rates, batches, _ = np.log(np.array(list(RECIPES.values()))).T
    run = make_plan(load(name)).runs[0]
    training, gpus = run.spec.training, load(name).launch.gpus
    at = np.log(6.0 * run.allocation.anchor.params_active * training.tokens)
    rate, batch = (np.exp(np.interp(at, np.log(budgets), values)) for values in (rates, batches))
    assert training.learning_rate == pytest.approx(rate, rel=0.01)
    assert training.batch_windows == gpus * round(batch / gpus)
