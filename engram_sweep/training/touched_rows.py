"""Which rows of its n-gram tables a run ever looked up: those that a larger table cannot add to.

A count of rows that training touched, by hashing the windows that it saw with the model's own hash.
The batch at a step is a function of (seed, step), so the count is one of spec, text and steps: it
needs no state in a checkpoint, and is the same however often the run was interrupted.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from engram_sweep.corpus.windows import train_batch
from engram_sweep.model.ngrams import NgramRows
from engram_sweep.spec import RunSpec

MAX_TOKENS = 2_000_000_000
"""Tokens that are hashed once more, some minutes of one core; counts of longer runs are bounds."""


def table_rows(spec: RunSpec) -> list[list[int]]:
    """Return the rows of every table by order, heads summed; empty without a memory."""
    memory = spec.geometry.memory
    return [[sum(order) for order in table] for table in memory.rows] if memory else []


def rows_touched(
    spec: RunSpec,
    tokens: np.ndarray,
    compression: np.ndarray,
    steps: int,
    device: torch.device | None = None,
) -> list[list[int]]:
    """Count the rows that training looked up at least once, within its first `MAX_TOKENS` tokens.

    Args:
        spec: the run.
        tokens: the training shard.
        compression: (V,) tokenizer compression map, used if the spec asks for it.
        steps: optimizer steps that the run did.
        device: where to hash; the CPU if left out.

    Returns:
        As `table_rows`: by table and order, heads summed.
    """
    memory, training = spec.geometry.memory, spec.training
    if memory is None:
        return []
    classes = torch.from_numpy(compression) if memory.compress_tokenizer else None
    hashes = [
        NgramRows(memory, index, classes, spec.geometry.vocab_size).to(device)
        for index in range(len(memory.rows))
    ]
    touched = [
        torch.zeros(memory.table_rows(index), dtype=torch.bool, device=device)
        for index in range(len(memory.rows))
    ]
    # After one epoch every window was seen: what follows repeats it.
    epoch = -(-((len(tokens) - 1) // training.window) // training.batch_windows)
    bound = max(1, MAX_TOKENS // (training.batch_windows * training.window))
    for step in range(min(steps, epoch, bound)):
        batch = train_batch(tokens, spec.seed, step, training.batch_windows, training.window)
        inputs = torch.from_numpy(batch[:, :-1]).to(device)
        for rows, marks in zip(hashes, touched, strict=True):
            marks[rows(inputs)] = True
    sizes = table_rows(spec)
    return [_by_order(marks, orders) for marks, orders in zip(touched, sizes, strict=True)]


def _by_order(marks: Tensor, orders: list[int]) -> list[int]:
    """Return how many rows of each order are marked; a table's orders lie one after the other."""
    return [int(part.sum()) for part in marks.split(orders)]
