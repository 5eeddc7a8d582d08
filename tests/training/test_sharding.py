"""A model that is cut over processes trains as one that is whole: values, gradients, losses, bits.

Gradients are compared, not only losses: Adam with clipping hides a factor.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from engram_sweep.placement import Placement
from engram_sweep.planning.plan import Plan
from engram_sweep.spec import Geometry, RunSpec
from engram_sweep.training.layout import Place
from tests.model.shapes import CLASSES, ENGRAM, GEOMETRIES, MEMORY, tokens
from tests.training.conftest import spec_with
from tests.training.ranks import many_steps_of, on_ranks, steps_of

pytestmark = pytest.mark.xdist_group("ranks")

STEPS = 4
BATCHES = [tokens(8, 13, seed=seed) for seed in range(STEPS)]
# Rows of a table that no 4 processes share evenly, and a table with fewer rows than processes.
UNEVEN = replace(ENGRAM, expert_width=8)
FEW_ROWS = replace(ENGRAM, memory=replace(MEMORY, heads=1, rows=(((1,), (1,)),) * 2))
FEW_EXPERTS = replace(ENGRAM, routed_experts=3)
DENSE = replace(GEOMETRIES["dense"], shared_width=(12, 8, 4))

Case = tuple[Geometry, dict[str, Any], Placement]
MUON = {"optimizer": "muon"}
ONE: dict[str, Case] = {
    "adamw": (UNEVEN, {}, Placement()),
    "muon, bf16": (UNEVEN, {"optimizer": "muon", "precision": "bf16"}, Placement()),
    "recomputed": (UNEVEN, {"balance_loss": 0.5}, Placement(recompute=True)),
    "host": (UNEVEN, MUON, Placement(tables="host")),
}
"""A mesh of one process is bit-equal to the plain model."""
TWO: dict[str, Case] = {
    "adamw": (UNEVEN, {}, Placement(shards=2)),
    "replicas": (UNEVEN, MUON, Placement(replicas=2)),
    "micro-batches": (
        UNEVEN,
        {"balance_loss": 0.5},
        Placement(replicas=2, micro_windows=1, recompute=True, loss_chunk=7),
    ),
    "lazy": (UNEVEN, {"table_optimizer": "lazy_adam", **MUON}, Placement(shards=2, tables="host")),
    "over_encoding": (GEOMETRIES["over_encoding"], MUON, Placement(shards=2)),
}
FOUR: dict[str, Case] = {
    "muon": (UNEVEN, MUON, Placement(shards=4)),
    "mesh": (UNEVEN, MUON, Placement(2, 2, micro_windows=1, recompute=True, loss_chunk=5)),
    "fewer rows than processes": (FEW_ROWS, {}, Placement(shards=4)),
    "fewer experts than processes": (FEW_EXPERTS, MUON, Placement(shards=4)),
    "mla, streams": (GEOMETRIES["mla_streams"], MUON, Placement(shards=4, tables="host")),
    "dense": (DENSE, MUON, Placement(2, 2)),
}
EVERY = {
    1: ONE,
    2: TWO,
    4: FOUR,
}


def uncompiled(spec: RunSpec) -> RunSpec:
    return replace(spec, training=replace(spec.training, compile="off"))


def compared(plan: Plan, ranks: int, cases: dict[str, Case]) -> dict[str, tuple[Any, list[Any]]]:
    """Each case trained plainly, and on a mesh: what every process of it reports."""
    specs = {
        name: (spec_with(plan, geometry, **training), placement)
        for name, (geometry, training, placement) in cases.items()
    }
    found = on_ranks(ranks, many_steps_of, specs, BATCHES, CLASSES)
    return {
        name: (
            steps_of(Place(), uncompiled(spec), Placement(), BATCHES, CLASSES),
            [each[name] for each in found],
        )
        for name, (spec, _) in specs.items()
    }


@pytest.fixture(scope="module")
def trained_on(smoke_plan: Plan) -> dict[int, dict[str, tuple[Any, list[Any]]]]:
    torch.set_num_threads(1)
    return {ranks: compared(smoke_plan, ranks, cases) for ranks, cases in EVERY.items()}


def close(got: dict[str, Tensor], wanted: dict[str, Tensor], tolerance: float) -> None:
    """Each tensor by its norm."""
    assert got.keys() == wanted.keys()
    for name, tensor in wanted.items():
        off = float((got[name] - tensor).norm())
        assert off <= tolerance * float(tensor.norm()) + 1e-8, f"{name}: {off}"


ROUNDING = 1e-6
"""A gradient below this share of the whole one is what rounding leaves of a zero."""


def meant(gradients: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return which entries of every tensor have a gradient that is more than rounding, or none.

    Streams that are alike, as under a single fusion, have no use for how they are mixed.
    """
    least = ROUNDING * sum(float(one.norm()) ** 2 for one in gradients.values()) ** 0.5
    return {name: (one == 0) | (one.abs() > least) for name, one in gradients.items()}


def check(plain: Any, every: list[Any], end: float = 1e-5) -> None:
    """Initial values bit by bit; gradients, losses and the end within rounding of fp32.

    Adam makes steps of full size of gradients that are nothing but rounding: `end` allows for it,
    and entries that have no other are left out of it.
    """
    kept = meant(plain["gradients"])
    wanted = {name: one[kept[name]] for name, one in plain["weights"].items()}
    for got in every:
        for name, tensor in plain["start"].items():
            assert torch.equal(got["start"][name], tensor), name
        close(got["gradients"], plain["gradients"], 1e-5)
        assert all(map(torch.equal, got["load"], plain["load"]))
        assert got["losses"] == pytest.approx(plain["losses"], abs=2e-6)
        close({name: one[kept[name]] for name, one in got["weights"].items()}, wanted, end)


@pytest.mark.parametrize("name", ONE)
def test_one_process_of_a_mesh_is_bit_equal(trained_on, name: str) -> None:
    plain, [got] = trained_on[1][name]
    assert got["losses"] == plain["losses"]
    for kind in ("start", "weights"):
        for parameter, tensor in plain[kind].items():
            assert torch.equal(got[kind][parameter], tensor), parameter
    assert got["bytes"] == plain["bytes"]


@pytest.mark.parametrize("name", TWO)
def test_two_processes_train_the_same_model(trained_on, name: str) -> None:
    check(*trained_on[2][name])


@pytest.mark.parametrize("name", FOUR)
def test_four_processes_train_the_same_model(trained_on, name: str) -> None:
    check(*trained_on[4][name])


@pytest.mark.parametrize("name", ["muon", "mesh"])
def test_bytes_of_a_process_fall_with_the_cuts(trained_on, name: str) -> None:
    """No tensor lies whole anywhere if it has rows for all: states as parameters."""
    plain, every = trained_on[4][name]
    shards = FOUR[name][2].shards
    for parameter, whole in plain["bytes"].items():
        held = [got["bytes"][parameter] for got in every]
        if "router.bias" in parameter or parameter.endswith(".bias"):
            continue
        copies = 1 if "table" in parameter else FOUR[name][2].replicas
        assert sum(held) == copies * whole, parameter
        cuts = 4 if "table" in parameter else shards
        rows = plain["start"][parameter.split("/")[1]].shape[0]
        assert max(held) == -(-rows // cuts) * whole // rows, parameter


def test_a_mesh_repeats_itself_bit_by_bit(trained_on, smoke_plan: Plan) -> None:
    again = compared(smoke_plan, 2, {"replicas": TWO["replicas"]})["replicas"][1]
    for got, before in zip(again, trained_on[2]["replicas"][1], strict=True):
        assert got["losses"] == before["losses"]
        for name, tensor in before["weights"].items():
            assert torch.equal(got["weights"][name], tensor), name


@pytest.mark.slow
@pytest.mark.parametrize("ranks", [2, 4])
def test_every_arm_optimizer_and_backbone(smoke_plan: Plan, ranks: int) -> None:
    geometries = {**GEOMETRIES, "dense": DENSE, "few rows": FEW_ROWS, "few experts": FEW_EXPERTS}
    for geometry in geometries.values():
        cases: dict[str, Case] = {}
        for optimizer in ("adamw", "muon"):
            for replicas in sorted({1, 2, ranks}):
                mesh = Placement(replicas, ranks // replicas)
                cases[f"{optimizer} {replicas}"] = (geometry, {"optimizer": optimizer}, mesh)
                small = replace(mesh, micro_windows=1, recompute=True, loss_chunk=11)
                options = {"optimizer": optimizer, "balance_loss": 0.5}
                cases[f"{optimizer} {replicas} micro"] = (geometry, options, small)
        for plain, every in compared(smoke_plan, ranks, cases).values():
            check(plain, every, end=1e-3)


@pytest.mark.slow
def test_blocks_are_compiled_before_they_are_cut(smoke_plan: Plan) -> None:
    cases: dict[str, Case] = {
        "cut": (UNEVEN, {"compile": "on"}, Placement(shards=2)),
        "recomputed": (UNEVEN, {"compile": "on"}, Placement(2, 1, recompute=True, loss_chunk=5)),
    }
    for plain, every in compared(smoke_plan, 2, cases).values():
        for got in every:
            close(got["gradients"], plain["gradients"], 1e-4)
            assert got["losses"] == pytest.approx(plain["losses"], abs=1e-4)


@pytest.mark.slow
def test_fifty_steps_stay_together(smoke_plan: Plan) -> None:
    batches = [tokens(8, 13, seed=seed) for seed in range(50)]
    for training in ({}, MUON):
        spec = spec_with(smoke_plan, UNEVEN, **training)
        plain = steps_of(Place(), spec, Placement(), batches, CLASSES)
        for got in on_ranks(4, steps_of, spec, Placement(2, 2, micro_windows=1), batches, CLASSES):
            assert got["losses"] == pytest.approx(plain["losses"], abs=1e-4)
