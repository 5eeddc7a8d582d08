"""`torch.compile` of a model's blocks, such that one compiled graph serves every point along rho.

A graph that knew its number of experts would be compiled again at each rho, which costs a small run
more than it saves. So the dimensions that move along rho are symbols of the graph, block for block:
blocks of one kind share one graph, and what is compiled lies in a folder of the sweep for all its
workers.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from importlib.util import find_spec
from typing import Any

import torch
from torch import nn

from engram_sweep.compiler import compiler_is_missing
from engram_sweep.model.layers import GatedFFN
from engram_sweep.model.moe import RoutedExperts, Router
from engram_sweep.model.transformer import Transformer
from engram_sweep.spec import TrainingSpec

MIN_TOKENS = 10_000_000
"""Shorter runs are not compiled by `auto`: a minute of CPU to compile, once a sweep, and three
seconds a run to load it are more than a sixth of their steps (docs/lab-notebook.md)."""


def is_compiled(training: TrainingSpec, several: bool = False) -> bool:
    """Return whether a run is compiled here.

    Args:
        training: its recipe.
        several: its model is cut over processes; `auto` leaves that uncompiled.
    """
    if training.compile != "auto":
        return training.compile == "on"
    return not several and training.tokens >= MIN_TOKENS and _lacking() is None


def _lacking() -> str | None:
    """Return what `torch.compile` lacks where runs train, None if nothing."""
    if torch.cuda.is_available():
        return None if find_spec("triton") else "no triton for the GPU"
    return compiler_is_missing()


def compile_model(model: Transformer, **options: Any) -> None:
    """Let the blocks and the loss of a model run through `torch.compile`.

    Lookups stay outside: their sparse gradients do not compile, and rows depend on ids alone.

    Args:
        model: what trains; `validation` runs it eagerly.
        options: passed on to `torch.compile`.
    """
    # Only here: the compiler takes a second to import.
    import torch._dynamo

    # Otherwise the sizes of parameters and buffers are constants, whatever is marked.
    torch._dynamo.config.force_parameter_static_shapes = False
    torch._dynamo.config.force_nn_module_property_static_shapes = False
    for module in model.blocks.modules():
        for tensor, dimension in _along_rho(module):
            torch._dynamo.maybe_mark_dynamic(tensor, dimension)
    for block in model.blocks:
        block.compile(**options)
    model.compiled = True
    model.losses = torch.compile(model.losses, **options)  # type: ignore[method-assign]


def eagerly(compiled: bool) -> AbstractContextManager[Any]:
    """Return a context in which a compiled model runs as it is written.

    Validation has other batches: it would be compiled by itself, for one pass.
    """
    return torch.compiler.set_stance("force_eager") if compiled else nullcontext()


def _along_rho(module: nn.Module) -> list[tuple[torch.Tensor, int]]:
    """Return what changes its size along rho, and in which dimension."""
    if isinstance(module, RoutedExperts):
        return [(module.gate_up, 0), (module.down, 0)]
    if isinstance(module, Router):
        return [(module.scores.weight, 0), (module.bias, 0), (module.load, 0)]
    if isinstance(module, GatedFFN):
        return [(module.gate.weight, 0), (module.up.weight, 0), (module.down.weight, 1)]
    return []
