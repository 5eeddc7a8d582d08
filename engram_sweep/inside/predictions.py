"""What a trained model predicts of its held-out text, token by token."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from engram_sweep.inside.trained import Trained

Rows = Callable[[list[Tensor]], list[Tensor]]
"""Changes what the memories looked up, (B, T, d_memory) each."""


@dataclass(frozen=True)
class Predictions:
    """Of n held-out tokens, in the order of the text."""

    loss: np.ndarray
    """(n,) float32, nats."""
    correct: np.ndarray
    """(n,) bool: the most likely token is the right one."""

    @property
    def mean_loss(self) -> float:
        """Mean loss, nats/token."""
        return float(self.loss.mean(dtype=float))


@torch.inference_mode()
def predict(run: Trained, rows: Rows | None = None, every: int = 1) -> Predictions:
    """Predict the held-out text of a run.

    Args:
        run: the run.
        rows: changes what was looked up; None leaves it.
        every: 3 takes the windows 0, 3, 6 and so on.
    """
    losses, correct = [], []
    for inputs, targets in run.held_out(every):
        looked_up = [memory.look_up(inputs) for memory in run.model.memories()]
        logits = run.model(inputs, rows(looked_up) if rows else looked_up).float()
        loss = F.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="none")
        losses.append(loss.numpy())
        correct.append((logits.argmax(-1) == targets).flatten().numpy())
    return Predictions(np.concatenate(losses), np.concatenate(correct))
