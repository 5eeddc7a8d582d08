"""One gradient norm of all that a run trains but its tables, wherever the rows lie."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn

from engram_sweep.training.cuts import local
from engram_sweep.training.distributed import sum_


@torch.no_grad()
def clip_(parameters: Iterable[nn.Parameter], limit: float, replicas: int = 1) -> None:
    """Scale gradients down in place so that their norm over all processes is at most `limit`.

    In one process these are the bits of `torch.nn.utils.clip_grad_norm_`, which refuses to mix cut
    and whole tensors.

    Args:
        parameters: those of this process that have a gradient count.
        limit: of the 2-norm.
        replicas: processes that hold each number.
    """
    gradients = [local(p.grad) for p in parameters if p.grad is not None]
    # A process without rows of a small parameter has an empty gradient.
    gradients = [gradient for gradient in gradients if gradient.numel()]
    norm = torch.nn.utils.get_total_norm(gradients)
    if torch.distributed.is_initialized():
        square = sum_(norm.double().square()) / replicas
        norm = square.sqrt().to(norm.dtype)
    factor = (limit / (norm + 1e-6)).clamp(max=1.0)
    if gradients:
        torch._foreach_mul_(gradients, factor)  # type: ignore[attr-defined]  # public in the docs
