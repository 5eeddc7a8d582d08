"""How likely a model holds one text behind another."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from engram_sweep.model.transformer import Transformer

MAX_TOKENS = 2**13
"""Tokens of one forward pass, padding included."""
Ids = np.ndarray
"""(n,) token ids."""


@dataclass(frozen=True)
class Likelihood:
    """Of one continuation."""

    log: float
    """Its log-likelihood, nats; NaN if the window cannot hold it."""
    greedy: bool
    """Whether each of its tokens is the most likely one behind those before it."""
    cut: bool
    """Whether the context lost its beginning to fit into the window."""


@torch.inference_mode()
def likelihoods(
    model: Transformer, pairs: Sequence[tuple[Ids, Ids]], window: int, start: int
) -> list[Likelihood]:
    """Return the likelihood of every continuation behind its context.

    A context is the beginning of a document: `start` stands before it. If both together are longer
    than the window, the context loses its beginning.

    Args:
        model: in evaluation mode.
        pairs: ids of context and continuation; a continuation has one at least.
        window: T, the most tokens that are predicted at once, those of the context included.
        start: the id that ends documents.
    """
    found: list[Likelihood] = [Likelihood(float("nan"), False, True)] * len(pairs)
    # Of equal length, so that little is padding.
    by_length = sorted(range(len(pairs)), key=lambda at: sum(map(len, pairs[at])))
    kept = [at for at in by_length if len(pairs[at][1]) <= window]
    for batch in _batches(kept, pairs, window):
        for at, one in zip(
            batch, _of_batch(model, [pairs[at] for at in batch], window, start), strict=True
        ):
            found[at] = one
    return found


def _batches(
    order: list[int], pairs: Sequence[tuple[Ids, Ids]], window: int
) -> Iterator[list[int]]:
    """Cut an order of ascending lengths into batches of at most `MAX_TOKENS`, or of one."""
    batch: list[int] = []
    for at in order:
        length = min(window, sum(map(len, pairs[at])))
        if batch and (len(batch) + 1) * length > MAX_TOKENS:
            yield batch
            batch = []
        batch.append(at)
    if batch:
        yield batch


def _of_batch(
    model: Transformer, pairs: list[tuple[Ids, Ids]], window: int, start: int
) -> list[Likelihood]:
    texts = [np.concatenate([[start], *pair]).astype(np.int64) for pair in pairs]
    tokens = [torch.from_numpy(text[-window - 1 :]) for text in texts]
    # What is added behind a text changes nothing before it: the model looks back only.
    inputs = _padded([each[:-1] for each in tokens], start)
    targets = _padded([each[1:] for each in tokens], start)
    asked = torch.zeros_like(targets, dtype=torch.bool)
    for row, (each, (_, continuation)) in enumerate(zip(tokens, pairs, strict=True)):
        asked[row, len(each) - 1 - len(continuation) : len(each) - 1] = True
    looked_up = [memory.look_up(inputs) for memory in model.memories()]
    # The head is the dearest part, and most positions are not asked.
    logits = model.head(model.hidden(inputs, looked_up)[asked]).float().log_softmax(-1)
    wanted = targets[asked]
    logs = logits.gather(-1, wanted[:, None])[:, 0].double()
    greedy = logits.argmax(-1) == wanted
    sizes = asked.sum(1).tolist()
    return [
        Likelihood(float(log.sum()), bool(hit.all()), len(text) > window + 1)
        for log, hit, text in zip(logs.split(sizes), greedy.split(sizes), texts, strict=True)
    ]


def _padded(rows: list[Tensor], filler: int) -> Tensor:
    return torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=filler)
