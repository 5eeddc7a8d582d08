"""Strata of the held-out positions, from the text alone: what n-gram ends there, how well known.

A position is a token that is predicted from those before it in its window. It belongs, for each
n-gram order, to a stratum by how often training has presented the n-gram that ends just before it
(the n-gram that a memory looks up to predict it), and is copied or not. Strata of one order are
disjoint and hold every position, so that what is summed over them is the total.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engram_sweep.corpus.ngram_counts import hash_ngrams
from engram_sweep.corpus.overlap import documents
from engram_sweep.corpus.shards import Shards
from engram_sweep.corpus.windows import window_visits
from engram_sweep.spec import RunSpec

ORDERS = (2, 3)
"""Orders that the memory looks up by default (paper section 2.2)."""
BOUNDS = (1, 4, 10, 100, 1001)
"""Lowest count of each stratum but the first."""
STRATA = ("never", "1-3", "4-9", "10-99", "100-1000", "> 1000", "cut")
"""By how often training has presented the n-gram; `cut` if it begins before the window."""
_BLOCK = 2**22
"""Tokens that are hashed at once."""


@dataclass(frozen=True)
class Positions:
    """What is known of each of n held-out positions."""

    document: np.ndarray
    """(n,) int64: the held-out document of the token that is predicted."""
    counts: dict[int, np.ndarray]
    """By order, (n,) int64: times that training presented the n-gram; -1 if it is cut."""
    copied: dict[int, np.ndarray]
    """By order, (n,) bool: the n-gram occurred before in the window, and what followed it then, the
    last time, is what follows now."""

    def stratum(self, order: int) -> np.ndarray:
        """Return the index of each position's stratum in `STRATA`, (n,) int64."""
        counts = self.counts[order]
        return np.where(counts < 0, len(STRATA) - 1, np.digitize(counts, BOUNDS))

    def of_windows(self, every: int, window: int) -> Positions:
        """Return those of one window in `every`, as `Trained.held_out` reads them.

        Args:
            every: 3 takes the windows 0, 3, 6 and so on.
            window: T.
        """
        kept = np.arange(len(self.document)) // window % every == 0
        return Positions(
            self.document[kept],
            {order: counts[kept] for order, counts in self.counts.items()},
            {order: copied[kept] for order, copied in self.copied.items()},
        )


def positions_of(spec: RunSpec, shards: Shards) -> Positions:
    """Return the positions of a run's held-out text.

    Counts are of what this run was shown: the windows of its seed, as often as it read them, with
    no n-gram across two windows. N-grams are of token ids; a memory whose keys are compressed ids
    merges some of them.

    Args:
        spec: the run.
        shards: its text.
    """
    t = spec.training
    key = (shards.manifest.fingerprint, spec.seed, t.steps, t.batch_windows, t.window)
    if key not in _known:
        _known.clear()
        _known[key] = _look_up(spec, shards)
    return _known[key]


_known: dict[tuple[str, int, int, int, int], Positions] = {}
"""Those of the last run: runs of one seed share them."""


def _look_up(spec: RunSpec, shards: Shards) -> Positions:
    t = spec.training
    held_out = np.asarray(shards.validation)
    bounds = documents(held_out, shards.manifest.document_end)
    visits = window_visits(len(shards.train), spec.seed, t.steps, t.batch_windows, t.window)
    hashes = {order: window_ngrams(held_out[:-1], order, t.window) for order in ORDERS}
    return Positions(
        document=np.searchsorted(bounds, np.arange(1, len(held_out)), side="right") - 1,
        counts={
            order: presented(found, shards.train, visits, order, t.window)
            for order, found in hashes.items()
        },
        copied={
            order: continues_as_before(found, held_out, order, t.window)
            for order, found in hashes.items()
        },
    )


def window_ngrams(inputs: np.ndarray, order: int, window: int) -> np.ndarray:
    """Return a hash of the n-gram that ends at each input, within its window.

    Args:
        inputs: (n,) ids; window i is `inputs[i * window : (i + 1) * window]`.
        order: n-gram order.
        window: T.

    Returns:
        (n,) uint64; meaningless at the first `order - 1` inputs of a window (`is_cut`).
    """
    hashes = np.zeros(len(inputs), np.uint64)
    for start in range(0, len(inputs), _BLOCK):
        # A block begins early enough to hold the n-gram that ends at its first input.
        first = max(0, start - order + 1)
        block = inputs[first : start + _BLOCK]
        if len(block) >= order:
            hashes[first + order - 1 : first + len(block)] = hash_ngrams(block, order)
    return hashes


def is_cut(inputs: int, order: int, window: int) -> np.ndarray:
    """Return which inputs have fewer than `order` tokens in their window up to them, (n,) bool."""
    return np.arange(inputs) % window < order - 1


def presented(
    hashes: np.ndarray, train: np.ndarray, visits: np.ndarray, order: int, window: int
) -> np.ndarray:
    """Return how often training presented the n-gram at each held-out input.

    One pass over the windows that were read; memory is that of the held-out text.

    Args:
        hashes: (n,) uint64, of `window_ngrams` of the held-out inputs.
        train: (m,) ids of the training text.
        visits: (windows,) how often each training window was read.
        order: n-gram order.
        window: T.

    Returns:
        (n,) int64, -1 for an n-gram that is cut.
    """
    cut = is_cut(len(hashes), order, window)
    wanted, place = np.unique(hashes, return_inverse=True)
    counts = np.zeros(len(wanted), np.int64)
    read = np.flatnonzero(visits)
    per_block = max(1, _BLOCK // window)
    for start in range(0, len(read), per_block):
        chosen = read[start : start + per_block]
        block = np.asarray(train)[: len(visits) * window].reshape(-1, window)[chosen].ravel()
        found = window_ngrams(block, order, window)
        whole = ~is_cut(len(block), order, window)
        times = np.repeat(visits[chosen], window)[whole]
        at = np.minimum(np.searchsorted(wanted, found[whole]), len(wanted) - 1)
        hit = wanted[at] == found[whole]
        counts += np.bincount(at[hit], times[hit], len(wanted)).astype(np.int64)
    return np.where(cut, -1, counts[place])


def continues_as_before(
    hashes: np.ndarray, tokens: np.ndarray, order: int, window: int
) -> np.ndarray:
    """Return at which inputs the window's own past has the answer.

    Args:
        hashes: (n,) uint64, of `window_ngrams` of the inputs `tokens[:-1]`.
        tokens: (n + 1,) ids.
        order: n-gram order.
        window: T.

    Returns:
        (n,) bool: the n-gram that ends at the input has an earlier end in the window, and the token
        behind the latest of these is the token behind the input.

    Example:
        In `a b c a b c`, order 2, the second `a b` is followed by `c` as the first one was: true.
    """
    n = len(hashes)
    at = np.arange(n)
    # Equal n-grams of one window lie side by side, in the order of the text.
    order_of = np.lexsort((at, hashes, at // window))
    earlier, later = order_of[:-1], order_of[1:]
    same = (hashes[earlier] == hashes[later]) & (earlier // window == later // window)
    same &= ~is_cut(n, order, window)[earlier]
    copied = np.zeros(n, bool)
    copied[later[same]] = tokens[earlier[same] + 1] == tokens[later[same] + 1]
    return copied
