"""Sums by seed and document, and intervals for what is made of them.

Every seed reads every document, so the two are crossed. Both are drawn again, each by itself (the
pigeonhole bootstrap: Owen 2007, Annals of Applied Statistics 1, 386), n - 1 out of n, which makes
the spread of few clusters unbiased (Rao and Wu 1988, JASA 83, 231). Where a factor has one level,
nothing is known of its noise, and the interval is of the other factor alone.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.curve.bootstrap import percentile_interval
from analysis.curve.readings import Interval

DRAWS = 2000
"""Bootstrap draws."""
SEED = 20260107372
"""Fixed, so that the same table gives the same numbers."""


@dataclass(frozen=True)
class Crossed:
    """K sums by S seeds and D documents."""

    sums: np.ndarray
    """(K, S, D)."""
    seeds: tuple[int, ...]
    """The seeds, S of them."""

    @property
    def documents(self) -> int:
        """Number of documents, D."""
        return self.sums.shape[2]

    def interval(self, read: Callable[[np.ndarray], np.ndarray], level: float) -> Interval:
        """Return a quantity of the sums with its interval.

        Args:
            read: from sums over seeds and documents, (K, B), to the quantity, (B,).
            level: nominal coverage.

        Example:
            With the sums of losses and of tokens as K = 2, `lambda s: s[0] / s[1]` is the mean
            loss.
        """
        whole = self.sums.sum(axis=(1, 2))[:, None]
        drawn = np.einsum("ksd,bs,bd->kb", self.sums, *self._weights(), optimize=True)
        with np.errstate(divide="ignore", invalid="ignore"):
            values = read(drawn)
            estimate = float(read(whole)[0])
        values = values[np.isfinite(values)]
        return percentile_interval(estimate, values, level)

    def _weights(self) -> tuple[np.ndarray, np.ndarray]:
        """Draw how often each seed and each document counts, (B, S) and (B, D)."""
        rng = np.random.default_rng(SEED)
        _, seeds, documents = self.sums.shape
        return _counts(seeds, rng), _counts(documents, rng)


def _counts(levels: int, rng: np.random.Generator) -> np.ndarray:
    if levels == 1:
        return np.ones((DRAWS, 1))
    return rng.multinomial(levels - 1, np.full(levels, 1 / levels), DRAWS).astype(float)


def crossed(table: pd.DataFrame, columns: Sequence[str]) -> Crossed:
    """Sum the columns of a table of tallies by seed and document.

    Args:
        table: one row per cell, with `seed` and `document`.
        columns: what to sum, K of them.

    Raises:
        ValueError: the table is empty.
    """
    if table.empty:
        raise ValueError("expected rows to sum, got none")
    sums = table.pivot_table(
        index="seed", columns="document", values=list(columns), aggfunc="sum", fill_value=0
    )
    return Crossed(
        np.stack([sums[column].to_numpy(float) for column in columns]),
        tuple(int(seed) for seed in sums.index),
    )


def paired(first: pd.DataFrame, second: pd.DataFrame, columns: Sequence[str]) -> Crossed:
    """Sum the columns of two tables over the seeds and documents that both have.

    Args:
        first: one table.
        second: another, of other runs of the same sweep.
        columns: what to sum of each; the result has those of the first, then of the second.

    Raises:
        ValueError: they share no seed.
    """
    shared = sorted(set(first["seed"]) & set(second["seed"]))
    documents = sorted(set(first["document"]) | set(second["document"]))
    if not shared:
        raise ValueError("expected runs that share a seed, found none")
    blocks = [
        table.pivot_table(
            index="seed", columns="document", values=column, aggfunc="sum", fill_value=0
        )
        .reindex(shared)
        .reindex(documents, axis="columns", fill_value=0)
        .to_numpy(float)
        for table in (first, second)
        for column in columns
    ]
    return Crossed(np.stack(blocks), tuple(int(seed) for seed in shared))
