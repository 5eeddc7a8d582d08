"""The state behind every block of a model, as it runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import torch
from torch import Tensor, nn

from engram_sweep.model.transformer import Transformer


@contextmanager
def watched_blocks(model: Transformer) -> Iterator[list[Tensor]]:
    """Keep the states of the last forward pass.

    Yields:
        A list that a pass fills with one (B, T, D) per block: what the block hands on, the mean of
        its residual streams if there are several, which is what the final norm reads.
    """
    states: list[Tensor] = [torch.empty(0)] * len(model.blocks)

    def watch(number: int, block: nn.Module, inputs: object, output: Tensor) -> None:
        states[number] = output.mean(2) if model.streams > 1 else output

    hooks = [
        block.register_forward_hook(partial(watch, number))
        for number, block in enumerate(model.blocks)
    ]
    try:
        yield states
    finally:
        for hook in hooks:
            hook.remove()
