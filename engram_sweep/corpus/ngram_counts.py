"""Distinct n-grams of a long stream, in bounded memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from engram_sweep.corpus.overlap import among

MAX_KEPT = 2**24
"""N-grams that are counted one by one; of more, a share that their hash decides."""
_BLOCK = 2**22


@dataclass(frozen=True)
class NgramCounts:
    """The n-grams of one order in the training and in the held-out text."""

    order: int
    distinct: int
    """Distinct ones in the training text."""
    repeated: int
    """Those among them that occur at least twice."""
    seen: float | None
    """Share of the held-out occurrences whose n-gram is in the training text; None of none."""
    sampled: float
    """Share of the n-grams that were counted; 1 is an exact count."""


def count_ngrams(
    train: np.ndarray,
    validation: np.ndarray,
    order: int,
    classes: np.ndarray | None = None,
    kept: int = MAX_KEPT,
) -> NgramCounts:
    """Count n-grams; those that reach over a document's end count, as a model reads them.

    Args:
        train: (n,) ids.
        validation: (m,) held-out ids.
        order: n-gram order.
        classes: (V,) compressed id of each id, if n-grams are those of compressed ids.
        kept: occurrences that may be held in memory. If there are more, only n-grams whose hash
            falls into a fixed share of all hashes are counted, and the counts are scaled up: every
            n-gram is in or out as a whole, so distinct ones are counted without bias.
    """
    share = 1.0
    while share * len(train) > kept:
        share /= 2
    limit = np.uint64(min(int(share * 2**64), 2**64 - 1))
    counted = [
        np.concatenate(list(_hashes(ids, order, classes, limit)) or [np.empty(0, np.uint64)])
        for ids in (train, validation)
    ]
    distinct, times = np.unique(counted[0], return_counts=True)
    seen = among(np.sort(counted[1]), distinct)
    return NgramCounts(
        order=order,
        distinct=round(len(distinct) / share),
        repeated=round(int((times > 1).sum()) / share),
        seen=float(seen.mean()) if len(seen) else None,
        sampled=share,
    )


def _hashes(
    ids: np.ndarray, order: int, classes: np.ndarray | None, limit: np.uint64
) -> Iterator[np.ndarray]:
    """Yield 64-bit hashes of all n-grams, block by block, that are not above a limit."""
    for start in range(0, len(ids) - order + 1, _BLOCK):
        block = np.asarray(ids[start : start + _BLOCK + order - 1])
        hashes = _hash((block if classes is None else classes[block]).astype(np.uint64), order, {})
        yield hashes[hashes <= limit]


def hash_ngrams(ids: np.ndarray, order: int) -> np.ndarray:
    """Return a 64-bit hash of each n-gram of a text.

    Args:
        ids: (n,) ids, n at least `order`.
        order: n-gram order.

    Returns:
        (n - order + 1,) uint64; equal n-grams have equal hashes, and others share one about once in
        2^64 pairs.
    """
    return _hash(ids.astype(np.uint64), order, {})


def _hash(ids: np.ndarray, order: int, known: dict[int, np.ndarray]) -> np.ndarray:
    """Return a hash of each n-gram, made of those of its two halves: few steps for long ones.

    Args:
        ids: (n,) uint64.
        order: n-gram order.
        known: hashes of shorter n-grams.

    Returns:
        (n - order + 1,) uint64.
    """
    if order not in known:
        half = order // 2
        if half:
            left, right = _hash(ids, half, known), _hash(ids, order - half, known)
            ids = left[: len(ids) - order + 1] * _ODD ^ right[half:]
        known[order] = _mix(ids)
    return known[order]


_ODD = np.uint64(0x9E3779B97F4A7C15)
"""2^64 over the golden ratio: tells the left half from the right one."""


def _mix(x: np.ndarray) -> np.ndarray:
    """Return splitmix64's bijection of (n,) uint64 (Steele, Lea and Flood 2014)."""
    x = x + _ODD
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))
