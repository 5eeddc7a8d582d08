"""The gradients of one step, added up over micro-batches that fit into memory."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from engram_sweep.model.transformer import Transformer
from engram_sweep.training.lookups import WholeLookups


def accumulate(
    model: Transformer,
    windows: Tensor,
    lookups: WholeLookups,
    backward: Callable[[Tensor], None],
    micro_windows: int = 0,
    balance_loss: float = 0.0,
) -> Tensor:
    """Leave the gradients of the mean loss of some windows in the parameters.

    Args:
        model: in training mode, its gradients None.
        windows: (B, T + 1) token ids.
        lookups: of the model's tables.
        backward: runs autograd from a scalar.
        micro_windows: windows of a micro-batch, a divisor of B; 0 takes all at once.
        balance_loss: weight of the sequence-wise balance loss.

    Returns:
        Scalar, the mean loss without the balance loss, nats/token.
    """
    size = micro_windows or len(windows)
    inputs, targets = windows[:, :-1], windows[:, 1:]
    # A leaf for each micro-batch: their gradients are then put side by side, never added up.
    looked_up = [[part.requires_grad_() for part in e.split(size)] for e in lookups.look_up(inputs)]
    pieces = list(zip(inputs.split(size), targets.split(size), strict=True))
    losses = []
    for index, (tokens, wanted) in enumerate(pieces):
        loss = model(tokens, [parts[index] for parts in looked_up], wanted).mean()
        backward((loss + balance_loss * model.balance_loss()) / len(pieces))
        losses.append(loss.detach())
    lookups.give_back([torch.cat([_gradient(part) for part in parts]) for parts in looked_up])
    return torch.stack(losses).mean()


def _gradient(leaf: Tensor) -> Tensor:
    assert leaf.grad is not None
    return leaf.grad
