from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from engram_sweep.config.scale import scale_names
from engram_sweep.model.transformer import Transformer
from engram_sweep.planning.allocation import Allocation, allocate
from engram_sweep.planning.arms import ARMS, is_variant
from engram_sweep.planning.ledger import BACKWARD, ledger
from engram_sweep.planning.optimizers import is_matrix
from engram_sweep.planning.plan import make_plan
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


PARTS_CHANGED = {
    "no_gate": {"memory.gate": False},
    "no_convolution": {"memory.conv_kernel": 0},
    "value_alone": {"memory.gate": False, "memory.conv_kernel": 0},
    "single_fusion": {"memory.fusion": "single"},
    "order_4": {"memory.max_order": 4},
    "last_block": {"memory.layers": [3]},
}


@pytest.mark.parametrize("iso", ["strict", "paper"])
def test_ledger_equals_the_built_model_in_every_variant(iso):
    plan = make_plan(
        scale(
            model__streams=2,
            sweep__variants=PARTS_CHANGED,
            sweep__variant_rho=[0.6],
            sweep__iso=iso,
            sweep__seeds=[0],
        )
    )
    points = [run.allocation for run in plan.runs if is_variant(run.spec.arm)]
    assert [point.arm.partition("/")[2] for point in points] == list(PARTS_CHANGED)
    for point in points:
        built = {key: tuple(value.shape) for key, value in on_meta(point).named_parameters()}
        assert {e.name: e.shape for e in point.ledger.entries if e.shape} == built
        # Of the weights of a module every one costs a multiply-add; norms count alike.
        module = [e for e in point.ledger.entries if e.part == "engram"]
        assert all(e.flops == 2 * e.count == 2 * e.activated for e in module)


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


@pytest.mark.parametrize("name", ["engram-27B", "5.7B", "smoke"])
def test_matrices_of_the_bill_are_those_that_muon_trains(name):
    point = points(name)[-1]
    model = on_meta(point)
    trained = {id(p) for params in matrices(model).values() for p in params}
    built = {key for key, value in model.named_parameters() if id(value) in trained}
    assert {entry.name for entry in point.ledger.entries if is_matrix(entry)} == built
