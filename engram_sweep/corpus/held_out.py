"""Which documents are held out."""

from __future__ import annotations

import numpy as np

from engram_sweep.errors import UserError


def held_out(keys: np.ndarray, lengths: np.ndarray, share: float) -> np.ndarray:
    """Choose whole documents in the order of their keys until they hold a share of the tokens.

    Documents of one key (of equal text, if the key is its hash) stay together. At least one
    document is held out and at least one is left to train on.

    Args:
        keys: (D,) uint64, a hash of each document.
        lengths: (D,) tokens of each document.
        share: of all tokens, between 0 and 1.

    Returns:
        (D,) bool, true for a document that is held out.

    Raises:
        UserError: all documents have one key, so that none can be held out.

    Example:
        `held_out(np.array([7, 3, 9], np.uint64), np.array([10, 10, 10]), 0.5)` takes the two
        documents with the smallest keys: `[True, True, False]`.
    """
    distinct, inverse = np.unique(keys, return_inverse=True)
    if len(distinct) < 2:
        raise UserError(
            "expected at least two different documents, one to train on and one to hold out, "
            f"got {len(distinct)}"
        )
    # Tokens behind each key and all before it: the first sum that reaches the share is enough.
    sums = np.cumsum(np.bincount(inverse, lengths))
    enough = int(np.searchsorted(sums, share * sums[-1]))
    return inverse <= min(enough, len(distinct) - 2)
