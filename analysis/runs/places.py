"""The runs of a curve by their place on it: by rho, or by table size if that is what varies."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.runs.table import CURVE_ARMS, has_loss

SIZE = "rows_per_head_asked"


@dataclass(frozen=True)
class Place:
    """One place on a curve and its runs with a loss."""

    x: float
    """Where it is drawn: rho, or the number of the table size from the smallest, 0."""
    label: str
    """rho or the table size in short, e.g. "0.25" or "4,096 rows"."""
    runs: pd.DataFrame
    """Its runs; of a sweep over table sizes those of Engram and of the backbone alone."""


def places(runs: pd.DataFrame) -> list[Place]:
    """Return the places of a curve, ascending, without control arms and runs without a loss.

    Args:
        runs: rows of a table of runs, with `rho` and `validation_loss`; without `arm` all are of
            the curve.
    """
    on_curve = runs.loc[has_loss(runs)]
    if "arm" in runs:
        on_curve = on_curve.loc[on_curve["arm"].isin(CURVE_ARMS)]
    if not by_size(on_curve):
        return [
            Place(float(str(rho)), f"{float(str(rho)):.3g}", of_rho)
            for rho, of_rho in on_curve.groupby("rho")
        ]
    # The backbone has no table: size 0.
    sizes = on_curve[SIZE].fillna(0).to_numpy(float)
    return [
        Place(float(number), f"{size:,.0f} rows" if size else "no table", on_curve[sizes == size])
        for number, size in enumerate(np.unique(sizes))
    ]


def by_size(runs: pd.DataFrame) -> bool:
    """Return whether the table size is what varies."""
    return SIZE in runs and bool(runs[SIZE].notna().any())


def values(runs: pd.DataFrame, column: str) -> list[np.ndarray]:
    """Return what a column of lists holds for each run; empty if a run, or the table, has none.

    Args:
        runs: rows of a table of runs.
        column: of a list of numbers, or of a list of lists of one length each.
    """
    if column not in runs:
        return [np.array([])] * len(runs)
    return [_plain(one) for one in runs[column]]


def _plain(one: object) -> np.ndarray:
    if not isinstance(one, (list, tuple, np.ndarray)):
        return np.array([])
    if isinstance(one, np.ndarray) and one.dtype != object:
        return one.astype(float)
    lists = [np.asarray(part, float) for part in one]
    if not lists or lists[0].ndim == 0:
        return np.array(lists, dtype=float)
    # Layers may have routers of different sizes: what is missing there is NaN.
    longest = max(part.size for part in lists)
    return np.array(
        [np.pad(part, (0, longest - part.size), constant_values=np.nan) for part in lists]
    )
