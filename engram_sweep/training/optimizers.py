"""Optimizers and learning-rate schedules (paper Appendix A: Adam on tables, 5x, no decay)."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.distributed.tensor import DTensor

from engram_sweep.model.engram import Table
from engram_sweep.model.hyper_connections import StreamMix
from engram_sweep.model.layers import BranchLinear, Linear, RMSNorm
from engram_sweep.model.moe import RoutedExperts
from engram_sweep.model.transformer import Transformer
from engram_sweep.planning.optimizers import OPTIMIZERS
from engram_sweep.spec import TrainingSpec
from engram_sweep.training.muon import Muon
from engram_sweep.training.sharded_muon import ShardedMuon
from engram_sweep.training.table_adam import TableAdam

Stacks = list[dict[str, Any]]
"""Parameter groups of matrices; `blocks` says how many lie side by side in their columns."""


def _muon(stacks: Stacks, training: TrainingSpec) -> torch.optim.Optimizer:
    cut = any(isinstance(p, DTensor) for stack in stacks for p in stack["params"])
    build = ShardedMuon if cut else Muon
    return build(stacks, lr=training.learning_rate, weight_decay=training.weight_decay)


MATRIX_BUILDERS: dict[str, Callable[[Stacks, TrainingSpec], torch.optim.Optimizer]] = {
    "muon": _muon
}
"""How to build an optimizer of its own for the matrices, by its key in `planning.optimizers`."""


def _adam(tables: list[nn.Parameter], training: TrainingSpec, rate: float) -> torch.optim.Optimizer:
    return TableAdam(tables, rate, training.betas, training.eps)


def _lazy_adam(
    tables: list[nn.Parameter], training: TrainingSpec, rate: float
) -> torch.optim.Optimizer:
    return torch.optim.SparseAdam(tables, lr=rate, betas=training.betas, eps=training.eps)


TABLE_BUILDERS: dict[
    str, Callable[[list[nn.Parameter], TrainingSpec, float], torch.optim.Optimizer]
] = {"adam": _adam, "lazy_adam": _lazy_adam}
"""How to build the optimizer of the tables, by its key in `planning.optimizers`."""


def make_optimizers(model: Transformer, training: TrainingSpec) -> list[torch.optim.Optimizer]:
    """Build AdamW, the scale's own optimizer for matrices if any, and Adam for tables.

    Matrices decay, norms and other vectors do not, tables never do. The learning rate of every
    parameter group is set, step by step, by `set_learning_rates`.

    Args:
        model: what they train; its tables are hooked to an optimizer that has rows to bring up to
            date before they are looked up.
        training: the recipe.
    """
    tables = model.tables()
    facts = OPTIMIZERS[training.optimizer]
    # Each parameter goes to exactly one optimizer: tables, matrices of the scale's own, the rest.
    own = {} if facts.matrix_bytes is None else matrices(model)
    norms = {id(norm.weight) for norm in model.modules() if isinstance(norm, RMSNorm)}
    elsewhere = {id(p) for params in (tables, *own.values()) for p in params}
    rest = [p for p in model.parameters() if id(p) not in elsewhere]
    # Norm weights of several branches are matrices in shape only.
    vectors = [p for p in rest if p.ndim <= 1 or id(p) in norms]
    of_vector = {id(p) for p in vectors}
    groups = [
        {
            "params": [p for p in rest if id(p) not in of_vector],
            "weight_decay": training.weight_decay,
        },
        {"params": vectors, "weight_decay": 0.0},
    ]
    rate = training.learning_rate
    optimizers: list[torch.optim.Optimizer] = [
        torch.optim.AdamW(groups, lr=rate, betas=training.betas, eps=training.eps, fused=True)
    ]
    if own:
        stacks = [{"params": params, "blocks": blocks} for blocks, params in own.items() if params]
        optimizers.append(MATRIX_BUILDERS[facts.key](stacks, training))
    if tables:
        build = TABLE_BUILDERS[training.table_optimizer]
        optimizers.append(build(tables, training, rate * training.table_learning_rate_factor))
        _hook(model, optimizers[-1])
    # The schedule multiplies the peak; the group's own rate changes step by step.
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["peak"] = group["lr"]
    return optimizers


def _hook(model: Transformer, optimizer: torch.optim.Optimizer) -> None:
    """Let the tables of a `TableAdam` be up to date when they are looked up."""
    if not isinstance(optimizer, TableAdam):
        return
    tables = {id(table) for table in model.tables()}
    for module in model.modules():
        if isinstance(module, Table) and id(module.weight) in tables:
            module.register_forward_pre_hook(optimizer.before_look_up)


def matrices(model: Transformer) -> dict[int, list[torch.nn.Parameter]]:
    """Return the parameters that Muon trains: linear maps of the blocks and of over-encoding.

    Experts, and over-encoding's projections (one for each of its tables), are matrices of their
    own. Embedding, LM head, tables, norms, convolution taps and the static parts of the stream maps
    are left to Adam.

    Returns:
        Parameters by how many matrices lie side by side in their columns.
    """
    found: dict[int, list[torch.nn.Parameter]] = {1: [], 2: []}
    for module in model.blocks.modules():
        if isinstance(module, (Linear, BranchLinear, StreamMix)):
            found[1].append(module.weight)
        elif isinstance(module, RoutedExperts):
            found[1].append(module.down)
            found[2].append(module.gate_up)
    if model.over_encoding is not None:
        found.setdefault(model.over_encoding.lookups, []).append(
            model.over_encoding.projection.weight
        )
    return found


def schedule_factor(training: TrainingSpec, step: int) -> float:
    """Learning rate over its peak at a 0-based step: linear warm-up, then the schedule.

    `cosine`; `wsd`, stable and then straight down over the last `decay_share`; or `step` (DeepSeek
    LLM, arXiv 2401.02954): down to sqrt(final_share) at the start of the last `decay_share` and to
    final_share at half of it, which with 0.1 and 0.2 is 31.6 % at 80 % of the steps and 10 % at 90
    %.

    Returns:
        Between 0 (exclusive) and 1; `final_share` at the end.
    """
    warmup = max(1, round(training.warmup_share * training.steps))
    if step < warmup:
        return (step + 1) / warmup
    last = max(1, training.steps - 1)
    if training.schedule == "cosine":
        progress = (step - warmup) / max(1, last - warmup)
        return training.final_share + (1 - training.final_share) * 0.5 * (
            1 + math.cos(math.pi * progress)
        )
    if training.schedule == "step":
        left = (training.steps - step) / training.steps
        drops = (left <= training.decay_share) + (left <= training.decay_share / 2)
        return training.final_share ** (drops / 2)
    decay = max(1, round(training.decay_share * training.steps))
    return 1 - (1 - training.final_share) * max(0, step - (last - decay)) / decay


def set_learning_rates(optimizers: list[torch.optim.Optimizer], factor: float) -> None:
    """Multiply every group's peak learning rate by `factor`."""
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = group["peak"] * factor
