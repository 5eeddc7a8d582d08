"""Token shards -> windows.

The batch at a step is a pure function of (seed, step): there is no iterator to lose.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

import numpy as np
import xxhash


@lru_cache(maxsize=2)
def _order(windows: int, seed: int, epoch: int) -> np.ndarray:
    """Return the order of all training windows in one epoch."""
    key = xxhash.xxh3_128_intdigest(f"{seed}/data order/{epoch}".encode())
    return np.random.Generator(np.random.Philox(key=key)).permutation(windows)


def train_batch(
    tokens: np.ndarray, seed: int, step: int, batch_windows: int, window: int
) -> np.ndarray:
    """Return the windows of one step: without replacement within an epoch, a new order every epoch.

    Args:
        tokens: the training shard.
        seed: the run's seed; runs of one seed share the order.
        step: 0-based optimizer step.
        batch_windows: B.
        window: T; a window holds T + 1 tokens and shares its last one with the next.

    Returns:
        (B, T + 1) int64.

    Raises:
        ValueError: the shard is shorter than one window.
    """
    windows = (len(tokens) - 1) // window
    if windows < 1:
        raise ValueError(
            f"the training text holds {len(tokens)} tokens, fewer than one window of {window} + 1"
        )
    picks = np.arange(step * batch_windows, (step + 1) * batch_windows)
    order = [
        _order(windows, seed, int(epoch))[i]
        for epoch, i in zip(*divmod(picks, windows), strict=True)
    ]
    return np.stack([tokens[i * window : (i + 1) * window + 1] for i in order]).astype(np.int64)


def window_visits(
    tokens: int, seed: int, steps: int, batch_windows: int, window: int
) -> np.ndarray:
    """Return how often a run has read each window of the training text.

    Args:
        tokens: length of the training shard.
        seed: the run's seed.
        steps: optimizer steps done.
        batch_windows: B.
        window: T.

    Returns:
        (windows,) int64; its sum is steps * B. Window i holds the inputs
        `tokens[i * T : (i + 1) * T]`.
    """
    windows = (tokens - 1) // window
    epochs, rest = divmod(steps * batch_windows, windows)
    visits = np.full(windows, epochs)
    visits[_order(windows, seed, epochs)[:rest]] += 1
    return visits


def validation_windows(
    tokens: np.ndarray, batch_windows: int, window: int, rank: int = 0, ranks: int = 1
) -> Iterator[tuple[np.ndarray, bool]]:
    """Predict every held-out token after the first exactly once, in batches that count.

    Only the last window may be shorter. Every process of a run gets equally many batches, because
    one that has none left would let the others wait: it repeats one, which does not count.

    Args:
        tokens: the validation shard.
        batch_windows: most windows in a batch.
        window: T.
        rank: of this process; ranks have contiguous parts, in their order.
        ranks: processes of the run.

    Yields:
        (b, T + 1) int64 with b <= batch_windows, and whether they count; the shorter last window
        comes alone.
    """
    whole, rest = divmod(len(tokens) - 1, window)
    batches = [
        (start, min(start + batch_windows, whole)) for start in range(0, whole, batch_windows)
    ]
    batches += [(whole, whole + 1)] if rest else []
    mine = batches[rank * len(batches) // ranks : (rank + 1) * len(batches) // ranks]
    most = -(-len(batches) // ranks)
    repeated = batches[:1] * (most - len(mine))
    for start, end in mine + repeated:
        windows = [tokens[i * window : (i + 1) * window + 1] for i in range(start, end)]
        yield np.stack(windows).astype(np.int64), len(mine) > 0
        mine = mine[1:]
