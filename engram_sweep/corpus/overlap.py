"""Documents in a stream of tokens, and which of the held-out ones are trained on, too."""

from __future__ import annotations

import numpy as np
import xxhash

_BLOCK = 2**26
"""Tokens that are compared at once: a memory map may be larger than the memory."""


def documents(tokens: np.ndarray, document_end: int) -> np.ndarray:
    """Return the bounds of the documents in a stream.

    Args:
        tokens: (n,) ids, n at least 1.
        document_end: the id that ends a document and belongs to it; the last may lack it.

    Returns:
        (D + 1,) int64: document i is `tokens[bounds[i]:bounds[i + 1]]`.

    Example:
        `documents(np.array([5, 0, 7, 7]), 0)` is `[0, 2, 4]`.
    """
    found = [
        np.flatnonzero(tokens[start : start + _BLOCK] == document_end) + start + 1
        for start in range(0, len(tokens), _BLOCK)
    ]
    ends = np.concatenate(found)
    last = [] if len(ends) and ends[-1] == len(tokens) else [len(tokens)]
    return np.concatenate([[0], ends, last]).astype(np.int64)


def document_keys(
    tokens: np.ndarray, starts: np.ndarray, ends: np.ndarray, dtype: np.dtype
) -> np.ndarray:
    """Return a hash of each document.

    Args:
        tokens: (n,) ids.
        starts: (D,) position of each document's first id.
        ends: (D,) position behind its last.
        dtype: type in which ids are hashed, whatever type they come in.

    Returns:
        (D,) uint64, xxh3_64 of the ids.
    """
    keys = (
        xxhash.xxh3_64_intdigest(np.ascontiguousarray(tokens[start:end], dtype).data)
        for start, end in zip(starts.tolist(), ends.tolist(), strict=True)
    )
    return np.fromiter(keys, np.uint64, len(starts))


def held_out_in_train(train: np.ndarray, validation: np.ndarray, document_end: int) -> np.ndarray:
    """Return which held-out documents are in the training text, token for token.

    Args:
        train: (n,) ids.
        validation: (m,) ids.
        document_end: the id that ends a document.

    Returns:
        (D,) bool, by held-out document.
    """
    bounds, train_bounds = documents(validation, document_end), documents(train, document_end)
    # Most documents are told apart by their length; only the others are hashed.
    alike = np.isin(np.diff(train_bounds), np.diff(bounds))
    starts, ends = train_bounds[:-1][alike], train_bounds[1:][alike]
    trained_on = document_keys(train, starts, ends, train.dtype)
    held_out = document_keys(validation, bounds[:-1], bounds[1:], train.dtype)
    return among(held_out, np.sort(trained_on))


def among(values: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Return which values are in a sorted array; `np.isin` takes minutes for millions.

    Args:
        values: (n,) of any order.
        known: (m,) ascending.

    Returns:
        (n,) bool.
    """
    if not len(known):
        return np.zeros(len(values), bool)
    places = np.searchsorted(known, values)
    return known[np.minimum(places, len(known) - 1)] == values
