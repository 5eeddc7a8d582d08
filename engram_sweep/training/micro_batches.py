"""The gradients of one step, added up over micro-batches that fit into memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from engram_sweep.model.transformer import Transformer
from engram_sweep.training.lookups import Lookups
from engram_sweep.training.sharding import last_of_step


def accumulate(
    model: Transformer,
    windows: Tensor,
    lookups: Lookups,
    backward: Callable[[Tensor], None],
    micro_windows: int = 0,
    balance_loss: float = 0.0,
    ranks: int = 1,
    upcoming: Tensor | None = None,
) -> Tensor:
    """Leave the gradients of the mean loss of a step's windows in the parameters.

    Args:
        model: in training mode, its gradients None.
        windows: (B, T + 1) token ids, this process's share of the step.
        lookups: of the model's tables.
        backward: runs autograd from a scalar.
        micro_windows: windows of a micro-batch, a divisor of B; 0 takes all at once.
        balance_loss: weight of the sequence-wise balance loss.
        ranks: processes that share the step, whose gradients are summed.
        upcoming: windows of the next step, if they are known.

    Returns:
        Scalar, the mean loss of `windows` without the balance loss, nats/token.
    """
    size = micro_windows or len(windows)
    inputs, targets = windows[:, :-1], windows[:, 1:]
    # A leaf for each micro-batch: their gradients are then put side by side, never added up.
    looked_up = [[part.requires_grad_() for part in e.split(size)] for e in lookups.look_up(inputs)]
    pieces = list(zip(inputs.split(size), targets.split(size), strict=True))
    losses = []
    for index, (tokens, wanted) in enumerate(pieces):
        last_of_step(model, index == len(pieces) - 1)
        with _without_kept_casts():
            loss = model(tokens, [parts[index] for parts in looked_up], wanted).mean()
            backward((loss + balance_loss * model.balance_loss()) / (len(pieces) * ranks))
        losses.append(loss.detach())
    lookups.give_back([torch.cat([_gradient(part) for part in parts]) for parts in looked_up])
    return torch.stack(losses).mean()


@contextmanager
def _without_kept_casts() -> Iterator[None]:
    """Let autocast keep no casts of weights.

    It would use those of one micro-batch in the next, whose backward pass then reaches the weights
    last, after FSDP has sent their gradients off; and hold the casts of weights that were gathered
    for a moment.
    """
    kept = torch.is_autocast_cache_enabled()
    torch.set_autocast_cache_enabled(False)
    try:
        yield
    finally:
        torch.set_autocast_cache_enabled(kept)


def _gradient(leaf: Tensor) -> Tensor:
    assert leaf.grad is not None
    return leaf.grad
