"""The equalities of tests/training/test_sharding.py on CUDA and NCCL: `make test-gpu`.

Not part of the suite, which needs no device. Asked for without one, they fail.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from engram_sweep.placement import Placement
from engram_sweep.planning.plan import Plan
from tests.model.shapes import CLASSES, ENGRAM, GEOMETRIES, tokens
from tests.training.conftest import spec_with
from tests.training.ranks import many_steps_of, on_ranks, plainly

pytestmark = pytest.mark.gpu

BATCHES = [tokens(8, 13, seed=seed) for seed in range(4)]
WIDE = replace(ENGRAM, expert_width=8)
MUON = {"optimizer": "muon"}
SMALL = {"micro_windows": 1, "recompute": True, "loss_chunk": 7}
CASES: dict[str, tuple[Any, dict[str, Any], dict[str, Any]]] = {
    "adamw": (WIDE, {}, {}),
    "muon": (WIDE, MUON, {}),
    "host": (WIDE, MUON, {"tables": "host"}),
    "mla, streams": (GEOMETRIES["mla_streams"], {}, {}),
    "micro": (
        WIDE,
        {"balance_loss": 0.5},
        {"micro_windows": 1, "recompute": True, "loss_chunk": 7},
    ),
}


@pytest.fixture(scope="module", autouse=True)
def devices() -> int:
    """Devices of this machine, a power of two, at most 4: the ranks of these tests."""
    found = torch.cuda.device_count()
    if not found:
        pytest.fail("make test-gpu needs a CUDA device, there is none")
    return 1 << (min(found, 4).bit_length() - 1)


@pytest.mark.parametrize("name", CASES)
def test_a_mesh_of_devices_trains_the_same_model(smoke_plan: Plan, devices: int, name: str) -> None:
    geometry, training, options = CASES[name]
    spec = spec_with(smoke_plan, geometry, **training)
    # Matrices are orthogonalised in bf16 on a device: Muon's updates are as exact as that.
    tolerance = 1e-2 if training.get("optimizer") == "muon" else 1e-4
    meshes = [Placement(r, devices // r, **options) for r in sorted({1, devices})]
    cases = {str(mesh): (spec, mesh) for mesh in meshes}
    every = on_ranks(devices, many_steps_of, cases, BATCHES, CLASSES, gpu=True)
    [plain] = on_ranks(1, plainly, spec, BATCHES, CLASSES, gpu=True)
    for mesh in cases:
        for got in every:
            for parameter, tensor in plain["start"].items():
                assert torch.equal(got[mesh]["start"][parameter], tensor), parameter
            for parameter, tensor in plain["gradients"].items():
                off = float((got[mesh]["gradients"][parameter] - tensor).norm())
                assert off <= 1e-4 * float(tensor.norm()) + 1e-7, parameter
            assert got[mesh]["losses"] == pytest.approx(plain["losses"], abs=tolerance)


def test_bytes_on_a_device_are_those_that_its_tensors_say(smoke_plan: Plan, devices: int) -> None:
    """Tables in the host are not on the device."""
    spec = spec_with(smoke_plan, WIDE, **MUON)
    held = {}
    for tables in ("device", "host"):
        cases = {"a": (spec, Placement(shards=devices, tables=tables))}
        held[tables] = on_ranks(devices, many_steps_of, cases, BATCHES, CLASSES, gpu=True)
    for rank in range(devices):
        names = [name for name in held["host"][rank]["a"]["bytes"] if "table" in name]
        assert all(held["host"][rank]["a"]["devices"][name] == "cpu" for name in names)
        assert all(held["device"][rank]["a"]["devices"][name] == "cuda" for name in names)
