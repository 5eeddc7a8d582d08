"""The real model of a run on its real mesh, without a GPU: what the first process would hold.

Built under fake tensors, which have shapes and no storage, over a process group of the real size
whose collectives do nothing; then two micro-batches and a step of the optimizers are traced,
operation by operation. It takes a process of its own: `python -m engram_sweep.rehearsal.mesh_trace
FOLDER` reads `ask.json` there and writes `trace.json`.

What cannot be traced: n-gram tables, because which rows are distinct depends on values, so rows are
handed in and the owner's are counted; and the kernel of attention. It is stood in for by one that
keeps queries, keys, values, its output and a logarithm per query, as fused kernels do.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
import torch.nn.functional
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.testing._internal.distributed.fake_pg import FakeStore

from engram_sweep.atomic_files import write_json
from engram_sweep.model import engram, grouped_mm, moe
from engram_sweep.model.transformer import Transformer
from engram_sweep.placement import Placement
from engram_sweep.rehearsal.live_bytes import LiveBytes
from engram_sweep.rehearsal.mesh import ASK, TRACE
from engram_sweep.spec import RunSpec, from_json
from engram_sweep.training import sharding
from engram_sweep.training.cuts import local
from engram_sweep.training.layout import Layout, owned
from engram_sweep.training.optimizers import make_optimizers

MICRO_BATCHES = 2
"""Of the first no sum over copies is taken, of the last it is."""


@dataclass(frozen=True)
class MeshTrace:
    """What the first process of a run would hold, in bytes."""

    weights: int
    """Without tables."""
    gradients: int
    """As they lie here after the last micro-batch."""
    optimizer: int
    """States of the optimizers, without those of tables."""
    tables: int
    """Rows of tables, without their optimizer states: counted, not traced."""
    peak: int
    """The most that was alive in the last micro-batch: weights, gradients, activations.

    States of the optimizers, and tables, come on top."""
    step_peak: int
    """The most that was alive in a step of the optimizers, their states included."""
    calls: dict[str, int]
    """Collectives of one micro-batch, by their name."""
    moved: dict[str, int]
    """Bytes of the whole tensors that they gathered or summed."""
    seconds: float
    """How long the trace took."""


def trace(spec: RunSpec, placement: Placement) -> MeshTrace:
    """Trace the first process of a run; once in a process, which is of no other use then."""
    began = time.monotonic()
    layout = _layout(placement)
    rows = sharding.table_sizes(spec)
    _leave_out_values()
    if spec.training.precision == "fp32":
        # The built-in product's shape function takes bf16 only; compiled models use this one.
        moe.grouped_mm = grouped_mm._rows
    live = LiveBytes()
    with FakeTensorMode(allow_non_fake_inputs=True), live.following_sizes():
        with live:
            model, _ = sharding.sharded_model(spec, None, layout)
        model.recompute, model.loss_chunk = placement.recompute, placement.loss_chunk
        for parameter in model.parameters():
            live.count(parameter)
        _train(model, spec, placement, len(rows), live)
        peak, calls, moved = live.peak, dict(live.calls), dict(live.moved)
        gradients = sum(_size(p.grad) for p in model.parameters() if p.grad is not None)
        live.peak = live.now
        optimizers = make_optimizers(model, spec.training)
        with live:
            for optimizer in optimizers:
                optimizer.step()
        return MeshTrace(
            weights=sum(map(_size, model.parameters())),
            gradients=gradients,
            optimizer=sum(_size(value) for o in optimizers for value in _states(o)),
            tables=_table_bytes(spec, rows, placement.processes),
            peak=peak,
            step_peak=live.peak,
            calls=calls,
            moved=moved,
            seconds=time.monotonic() - began,
        )


def _leave_out_values() -> None:
    """Leave out what needs values: initial ones, tables and their hash, the sums of attention."""
    sharding.initialise = lambda *arguments: None
    sharding.table_sizes = lambda spec: []
    engram.NgramRows = engram.Table = _Nothing
    Transformer.memories = lambda self: []
    torch.nn.functional.scaled_dot_product_attention = _fused_attention


def _states(optimizer: torch.optim.Optimizer) -> Iterator[Tensor]:
    """Yield the states that have rows; a count of steps has none."""
    for values in optimizer.state.values():
        yield from (v for v in values.values() if isinstance(v, Tensor) and v.ndim)


def _table_bytes(spec: RunSpec, rows: list[int], processes: int) -> int:
    """Return the bytes of the rows that the first process owns."""
    memory = spec.geometry.memory
    if memory is None:
        return 0
    firsts = [owned(total, 0, processes) for total in rows]
    return sum((last - first) * memory.head_dim * 4 for first, last in firsts)


def _layout(placement: Placement) -> Layout:
    """Join a group of processes of which there is only this one; the others never answer."""
    processes = placement.processes
    dist.init_process_group("fake", rank=0, world_size=processes, store=FakeStore())
    sizes = {"replicate": placement.replicas, "shard": placement.shards}
    if placement.replicas == 1:
        del sizes["replicate"]
    everyone = _mesh({"all": processes})
    return Layout(
        placement=placement,
        device=torch.device("cpu"),
        shards=_mesh(sizes),
        everyone=everyone,
        hosts=everyone,
        plans=everyone.get_group(),
        saves=everyone.get_group(),
    )


def _mesh(sizes: dict[str, int]) -> DeviceMesh:
    return init_device_mesh("cpu", tuple(sizes.values()), mesh_dim_names=tuple(sizes))


def _train(
    model: Transformer, spec: RunSpec, placement: Placement, tables: int, live: LiveBytes
) -> None:
    """Leave the gradients of two micro-batches, as `training.micro_batches.accumulate` does."""
    windows = placement.micro_windows or spec.training.batch_windows // placement.processes
    half = spec.training.precision == "bf16"
    memory = spec.geometry.memory
    model.train()
    with live:
        for index in range(MICRO_BATCHES):
            live.peak = live.now
            live.calls.clear()
            live.moved.clear()
            tokens = torch.zeros(windows, spec.training.window, dtype=torch.int64)
            looked_up = [
                torch.empty(*tokens.shape, memory.d_memory, requires_grad=True)
                for _ in range(tables)
                if memory is not None
            ]
            sharding.last_of_step(model, index == MICRO_BATCHES - 1)
            torch.set_autocast_cache_enabled(False)
            with torch.autocast("cpu", torch.bfloat16, enabled=half):
                model(tokens, looked_up, tokens).mean().backward()


class _Nothing(nn.Module):
    """In place of an n-gram table, and of its hash."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__()


class _FusedAttention(torch.autograd.Function):
    """A kernel of attention without its arithmetic: what it keeps, and what it returns."""

    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """(B, H, T, d) and (B, H, T, d_v) -> (B, H, T, d_v)."""
        out = q.new_empty(*q.shape[:-1], v.shape[-1])
        ctx.save_for_backward(q, k, v, out, q.new_empty(q.shape[:-1], dtype=torch.float32))
        return out

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return gradients of the shapes of queries, keys and values."""
        q, k, v, _, _ = ctx.saved_tensors
        return torch.empty_like(q), torch.empty_like(k), torch.empty_like(v)


def _fused_attention(
    q: Tensor, k: Tensor, v: Tensor, is_causal: bool = False, enable_gqa: bool = False
) -> Tensor:
    return _FusedAttention.apply(q, k, v)


def _size(parameter: Tensor) -> int:
    own = local(parameter.detach())
    return own.numel() * own.element_size()


def main(folder: Path) -> None:
    """Trace what a folder asks for, and leave the answer there."""
    ask = json.loads((folder / ASK).read_text())
    found = trace(from_json(RunSpec, ask["spec"]), Placement(**ask["placement"]))
    write_json(folder / TRACE, asdict(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
