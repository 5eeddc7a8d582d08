from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch

from engram_sweep.config.scale import scale_names
from engram_sweep.model.transformer import Transformer
from engram_sweep.planning.allocation import Allocation, allocate
from engram_sweep.planning.arms import ARMS
from engram_sweep.planning.ledger import BACKWARD, ledger
from engram_sweep.planning.optimizers import is_matrix
from engram_sweep.planning.plan import make_plan
from engram_sweep.spec import Geometry, MLAGeometry
from engram_sweep.training.optimizers import matrices
from tests.examples import SWEEPS, load, scale

PARTS = {"embedding", "head", "attention", "norm", "router", "shared", "routed", "engram", "table"}


def points(name: str) -> list[Allocation]:
    """The distinct models of a shipped scale."""
    return list({run.spec.geometry: run.allocation for run in make_plan(load(name)).runs}.values())


def on_meta(point: Allocation) -> Transformer:
    """The real model without its values; the compression map needs values, and any will do."""
    compression = torch.arange(point.geometry.vocab_size, device="cpu")
    with torch.device("meta"):
        return Transformer(point.geometry, compression)


@pytest.mark.parametrize("name", scale_names(SWEEPS))
def test_ledger_equals_the_built_model_tensor_by_tensor(name):
    for point in points(name):
        model = on_meta(point)
        built = {key: tuple(value.shape) for key, value in model.named_parameters()}
        counted = {entry.name: entry.shape for entry in point.ledger.entries if entry.shape}
        assert counted == built


@pytest.mark.parametrize("arm", ARMS)
def test_ledger_equals_the_built_model_in_every_arm(arm):
    point = allocate(scale(model__dense_layers=1, model__dense_width=300), 0.5, arm)
    model = on_meta(point)
    assert {e.name: e.shape for e in point.ledger.entries if e.shape} == {
        key: tuple(value.shape) for key, value in model.named_parameters()
    }
    assert sum(p.numel() for p in model.parameters()) == sum(e.count for e in point.ledger.entries)


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


def test_sums_are_sums_of_the_entries():
    book = allocate(scale(), 0.5).ledger
    assert {e.part for e in book.entries} == PARTS
    inside = [e for e in book.entries if e.part not in ("embedding", "head")]
    assert book.params_total == sum(e.count for e in inside)
    assert book.params_active == sum(e.activated for e in inside)
    assert (
        book.params_table
        == sum(e.count for e in inside if e.name.endswith("engram.table.weight"))
        > 0
    )
    assert (
        book.flops_per_token
        == (1 + BACKWARD) * book.flops_forward
        == 3 * sum(e.flops for e in book.entries)
    )
    assert len({e.name for e in book.entries}) == len(book.entries)


def test_vocabulary_is_outside_the_budget():
    geometry = allocate(scale(), 0.5).geometry
    small, large = ledger(geometry, 64), ledger(replace(geometry, vocab_size=50_000), 64)
    assert (small.params_total, small.params_active) == (large.params_total, large.params_active)
    # The head's matrix product does cost FLOPs; the embedding's lookup does not.
    assert large.flops_forward - small.flops_forward == 2 * (50_000 - 256) * 64


def test_activated_and_flops_by_hand():
    """One dense block without anything sparse, counted on paper."""
    point = allocate(scale(model__n_layers=1, memory__layers=[0]), 1.0, "dense")
    width = point.geometry.shared_width[0]
    weights = 64 * 64 + 2 * (32 * 64) + 64 * 64 + 3 * 64 * width + 3 * 64 + 2 * 16
    assert point.ledger.params_active == point.ledger.params_total == weights
    # 2 FLOPs a weight, the head's, and attention's two products over (T + 1) / 2 keys on average.
    assert point.ledger.flops_forward == 2 * weights + 2 * 256 * 64 + 2 * 2 * 4 * 16 * (64 + 1) // 2


def test_routed_experts_activate_top_k_of_them():
    few, many = (allocate(scale(model__routed_experts=n), 1.0).ledger for n in (20, 40))
    expert = 3 * 64 * 32
    router = 20 * 64
    assert many.params_total - few.params_total == 4 * (20 * expert + router)
    assert many.params_active - few.params_active == 4 * router
    active = sum(e.activated for e in many.entries if e.part == "routed")
    assert active == 4 * 3 * expert


def test_a_table_activates_its_looked_up_rows():
    book = allocate(scale(), 0.5).ledger
    tables = [e for e in book.entries if e.part == "table"]
    assert [e.activated for e in tables] == [2 * 4 * 4] * 2
    assert all(e.count > 1000 for e in tables)


def test_a_longer_window_costs_attention_only():
    geometry = allocate(scale(), 0.5).geometry
    short, long = ledger(geometry, 64), ledger(geometry, 128)
    assert long.params_active == short.params_active
    assert long.flops_forward - short.flops_forward == 4 * 2 * 64 * 4 * 16


def test_over_encoding_activates_its_looked_up_widths_and_its_projections():
    """Counted on paper: n = 3, k = 4, d = 64, so 8 tables of width 64 // 12 = 5."""
    book = allocate(scale(), 0.5, "over_encoding").ledger
    table, projection = (e for e in book.entries if e.name.startswith("over_encoding."))
    assert (table.shape[1], table.activated, table.flops) == (5, 8 * 5, 2 * 8 * 5)
    assert projection.shape == (64, 8 * 5)
    assert (projection.activated, projection.flops) == (64 * 40, 2 * 64 * 40)
    # Under `iso: strict` both come out of the shared experts.
    anchor = allocate(scale(), 1.0).ledger
    assert book.params_active == pytest.approx(anchor.params_active, rel=1e-3)
    loose = allocate(scale(sweep__iso="paper"), 1.0, "over_encoding", rows_per_head=500).ledger
    assert loose.params_active - anchor.params_active == 64 * 40 + 8 * 5


MODELS = {
    "engram-27B": lambda: points("engram-27B")[-1],
    "5.7B": lambda: points("5.7B")[-1],
    "smoke": lambda: points("smoke")[-1],
    "over-encoding": lambda: allocate(scale(), 0.5, "over_encoding"),
}


@pytest.mark.parametrize("name", MODELS)
def test_matrices_of_the_bill_are_those_that_muon_trains(name):
    point = MODELS[name]()
    model = on_meta(point)
    trained = {id(p) for params in matrices(model).values() for p in params}
    built = {key for key, value in model.named_parameters() if id(value) in trained}
    assert {entry.name for entry in point.ledger.entries if is_matrix(entry)} == built
