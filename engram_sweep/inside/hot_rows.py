"""Hot rows: how many look-ups a cache of the most frequent rows of a table would serve.

The paper's hierarchy of caches (section 2.5) rests on n-grams being Zipfian and prints no figure.
What it needs is counting, no model: rows are ranked by how often training looked them up, the
first of them are the cache, and look-ups of held-out text hit it or not.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from engram_sweep.corpus.windows import window_visits
from engram_sweep.inside.measure import Measure
from engram_sweep.inside.positions import positions_of
from engram_sweep.inside.trained import Trained
from engram_sweep.model.ngrams import NgramRows
from engram_sweep.runs.measure_schema import MEASURED

SHARES = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
"""Of an order's rows, all heads together, that lie in the cache."""
_BLOCK = 2**19
"""Tokens whose rows are computed at once."""
SCHEMA = MEASURED["hot-rows"].schema


def _training_windows(run: Trained) -> Iterator[tuple[Tensor, int]]:
    """Yield the windows that the run read, (W, T) int64, by how often it read them."""
    t = run.spec.training
    train = run.shards.train
    visits = window_visits(len(train), run.spec.seed, t.steps, t.batch_windows, t.window)
    text = np.asarray(train)[: len(visits) * t.window].reshape(-1, t.window)
    per_block = max(1, _BLOCK // t.window)
    for times in np.unique(visits[visits > 0]).tolist():
        chosen = np.flatnonzero(visits == times)
        for start in range(0, len(chosen), per_block):
            block = text[chosen[start : start + per_block]]
            yield torch.from_numpy(block.astype(np.int64)), times


def row_counts(module: NgramRows, windows: Iterable[tuple[Tensor, int]]) -> np.ndarray:
    """Return how often each row of a table was looked up, (rows,) int64, heads one by one.

    Args:
        module: numbers the rows.
        windows: token ids (W, T), and how often they were read.
    """
    counts = np.zeros(int(module.primes.sum()), np.int64)
    for tokens, times in windows:
        counts += times * np.bincount(module(tokens).flatten().numpy(), minlength=len(counts))
    return counts


def hottest(counts: np.ndarray, share: float) -> np.ndarray:
    """Return which rows lie in a cache of a share of them, the most frequent first, (rows,) bool.

    Args:
        counts: (rows,) look-ups of each.
        share: of the rows, rounded up to whole ones.
    """
    kept = int(np.ceil(share * len(counts) - 1e-9))
    cached = np.zeros(len(counts), bool)
    cached[np.argsort(-counts, kind="stable")[:kept]] = True
    return cached


def _of_run(run: Trained) -> pa.Table:
    document = positions_of(run.spec, run.shards).document
    documents = int(document.max()) + 1
    lines = []
    for table, memory in enumerate(run.model.memories()):
        module = memory.rows
        counts = row_counts(module, _training_windows(run))
        # (n, orders, heads): rows of the held-out look-ups in the stacked table.
        heads = module.primes.shape[1]
        looked_up = torch.cat([module(inputs).flatten(0, 1) for inputs, _ in run.held_out()])
        by_order = looked_up.unflatten(-1, (-1, heads)).numpy()
        bounds = [0, *module.primes.sum(1).cumsum(0).tolist()]
        for at, order in enumerate(module.orders):
            first, last = bounds[at], bounds[at + 1]
            rows = by_order[:, at] - first
            for share in SHARES:
                hit = hottest(counts[first:last], share)[rows].sum(1)
                hits = np.bincount(document, hit, documents)
                asked = np.bincount(document, minlength=documents) * heads
                lines += [
                    (table, order, last - first, share, number, asked[number], hits[number])
                    for number in range(documents)
                ]
    columns = zip(*lines, strict=True) if lines else ([] for _ in SCHEMA)
    return pa.table([pa.array(list(each)) for each in columns], names=SCHEMA.names).cast(SCHEMA)


MEASURE = Measure(name="hot-rows", of_run=_of_run)
