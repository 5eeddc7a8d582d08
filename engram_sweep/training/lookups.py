"""Rows of the n-gram tables for a whole step, looked up once before its micro-batches.

What is looked up depends on token ids only. So a step looks up the rows of all of its micro-batches
at once, hands them to the model as leaves, and gives their gradients back at once after the last
backward pass.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from engram_sweep.model.transformer import Transformer


class WholeLookups:
    """Look-ups in tables that this process holds whole: autograd brings gradients to their rows.

    Args:
        model: whose tables.
    """

    def __init__(self, model: Transformer) -> None:
        self.memories = model.memories()
        self.found: list[Tensor] = []

    def look_up(self, tokens: Tensor) -> list[Tensor]:
        """(B, T) token ids -> what each memory looked up, (B, T, d_memory), cut from the graph."""
        self.found = [memory.look_up(tokens) for memory in self.memories]
        return [e.detach() for e in self.found]

    def give_back(self, gradients: Sequence[Tensor]) -> None:
        """Leave in each table the gradient of its rows, from (B, T, d_memory) of the last call."""
        for e, gradient in zip(self.found, gradients, strict=True):
            e.backward(gradient)
        self.found = []
