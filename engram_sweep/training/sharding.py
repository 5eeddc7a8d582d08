"""A model cut over the processes of its run, filled with the initial values of an uncut one.

Blocks, and in each the stacked experts, are gathered when they compute and cut again after that
(FSDP2, `fully_shard`; ZeRO stage 3, arXiv 1910.02054). Each replica of the mesh does so by itself,
and their gradients are added up (HSDP). Tables of n-gram rows are never gathered: `lookups`
exchanges rows.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.distributed.fsdp import FSDPModule, MixedPrecisionPolicy, fully_shard

from engram_sweep.model.engram import Table
from engram_sweep.model.initialization import initialise
from engram_sweep.model.moe import RoutedExperts
from engram_sweep.model.transformer import Transformer
from engram_sweep.spec import RunSpec
from engram_sweep.training.compilation import compile_model, is_compiled
from engram_sweep.training.cuts import Cuts
from engram_sweep.training.layout import Layout, owned


class HostTable(Table):
    """A table that stays in the host's memory when its model moves to a device."""

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> HostTable:
        return self


def table_sizes(spec: RunSpec) -> list[int]:
    """Return the rows of each table of a run's model, from the input on."""
    memory = spec.geometry.memory
    return [memory.table_rows(index) for index in range(len(memory.rows))] if memory else []


def whole_model(
    spec: RunSpec, compression: Tensor | None, host_tables: bool = False
) -> tuple[Transformer, Cuts]:
    """Build the model of a run of one process, on the CPU.

    Args:
        spec: the run.
        compression: (V,) int64 tokenizer compression map, if the model uses one.
        host_tables: keep tables in the host's memory.

    Returns:
        The model with its initial values, and how it is cut: not at all.
    """
    model = Transformer(spec.geometry, compression)
    if host_tables:
        _to_host(model)
    initialise(model, spec.seed)
    return model, Cuts(model, table_sizes(spec))


def sharded_model(
    spec: RunSpec, compression: Tensor | None, layout: Layout
) -> tuple[Transformer, Cuts]:
    """Build this process's part of a run's model; all processes call it.

    No process ever holds the whole: the model is laid out without storage, cut, and filled row by
    row. Every initial value is that of a run of one process, bit for bit.

    Args:
        spec: the run.
        compression: (V,) int64 tokenizer compression map, if the model uses one.
        layout: the processes of the run.

    Returns:
        The model on the process's device, and how it is cut.
    """
    with torch.device("meta"):
        model = Transformer(spec.geometry, compression)
    sizes = table_sizes(spec)
    for memory, rows in zip(model.memories(), sizes, strict=True):
        first, last = owned(rows, layout.rank, layout.ranks)
        memory.table.weight = nn.Parameter(memory.table.weight[first:last])
    if layout.placement.tables == "host":
        _to_host(model)
    if is_compiled(spec.training, several=True):
        # Before FSDP puts its hooks around the blocks.
        compile_model(model)
    _fully_shard(model, layout, half=spec.training.precision == "bf16")
    # Hash constants were never without storage; routers' counts and biases start at zero.
    model._apply(lambda t: torch.zeros_like(t, device=layout.device) if t.is_meta else t)
    model.to(layout.device)
    cuts = Cuts(model, sizes, layout)
    initialise(model, spec.seed, cuts.part)
    return model, cuts


def last_of_step(model: Transformer, last: bool) -> None:
    """Say whether the next micro-batch is the last: replicas add up gradients once a step."""
    if isinstance(model, FSDPModule):
        model.set_requires_all_reduce(last)


def _fully_shard(model: Transformer, layout: Layout, half: bool) -> None:
    """Let FSDP2 gather experts, blocks and the rest, each when it is needed."""
    ignored = set(model.tables())
    # Experts compute in bf16 under autocast anyway: gathered so, they are half as many bytes.
    # Routers, norms and stream maps of a block stay in fp32.
    policy = MixedPrecisionPolicy(
        param_dtype=torch.bfloat16 if half else None,
        reduce_dtype=torch.float32,
        cast_forward_inputs=False,
    )
    for block in model.blocks:
        for module in block.modules():
            if isinstance(module, RoutedExperts):
                fully_shard(module, mesh=layout.shards, mp_policy=policy)
        fully_shard(block, mesh=layout.shards, ignored_params=ignored)
    fully_shard(model, mesh=layout.shards, ignored_params=ignored)
    for module in model.modules():
        if isinstance(module, FSDPModule):
            # Sums, of losses that were divided before: an average that a backend forgets would hide
            # behind Adam and clipping.
            module.set_gradient_divide_factor(1.0)
            module.set_force_sum_reduction_for_comms(True)


def _to_host(model: Transformer) -> None:
    """Keep the tables in the host's memory from now on."""
    for memory in model.memories():
        table = memory.table
        weight = torch.empty(table.weight.shape, device="cpu")
        # The module keeps its name in the model, and so its rows their initial values.
        table.__class__ = HostTable
        table.weight = nn.Parameter(weight)
