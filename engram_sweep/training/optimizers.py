"""Optimizers and the learning-rate schedule (paper Appendix A: tables at 5x the learning rate, no weight decay)."""

from __future__ import annotations

import math

import torch

from engram_sweep.model.layers import RMSNorm
from engram_sweep.model.transformer import Transformer
from engram_sweep.spec import TrainingSpec


def make_optimizers(model: Transformer, training: TrainingSpec) -> list[torch.optim.Optimizer]:
    """AdamW for everything dense and, where there are tables, sparse Adam for them.

    Matrices decay, norms and other vectors do not, tables never do. Sparse Adam moves touched rows only, moments
    included. The learning rate of every parameter group is set, step by step, by `set_learning_rates`.
    """
    tables = model.tables()
    of_table = {id(table) for table in tables}
    dense = [p for p in model.parameters() if id(p) not in of_table]
    norms = {id(norm.weight) for norm in model.modules() if isinstance(norm, RMSNorm)}
    vectors = [p for p in dense if p.ndim <= 1 or id(p) in norms]
    of_vector = {id(p) for p in vectors}
    groups = [
        {"params": [p for p in dense if id(p) not in of_vector], "weight_decay": training.weight_decay},
        {"params": vectors, "weight_decay": 0.0},
    ]
    optimizers: list[torch.optim.Optimizer] = [
        torch.optim.AdamW(groups, lr=training.learning_rate, betas=training.betas, fused=True)
    ]
    if tables:
        rate = training.learning_rate * training.table_learning_rate_factor
        optimizers.append(torch.optim.SparseAdam(tables, lr=rate, betas=training.betas))
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["peak"] = group["lr"]
    return optimizers


def schedule_factor(training: TrainingSpec, step: int) -> float:
    """Learning rate over its peak at a 0-based step: linear warm-up, then cosine or warm-up/stable/decay (WSD).

    Returns:
        Between 0 (exclusive) and 1; `final_share` at the end.
    """
    warmup = max(1, round(training.warmup_share * training.steps))
    if step < warmup:
        return (step + 1) / warmup
    last = max(1, training.steps - 1)
    if training.schedule == "cosine":
        progress = (step - warmup) / max(1, last - warmup)
        return training.final_share + (1 - training.final_share) * 0.5 * (1 + math.cos(math.pi * progress))
    decay = max(1, round(training.decay_share * training.steps))
    return 1 - (1 - training.final_share) * max(0, step - (last - decay)) / decay


def set_learning_rates(optimizers: list[torch.optim.Optimizer], factor: float) -> None:
    """Multiply every group's peak learning rate by `factor`."""
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = group["peak"] * factor
