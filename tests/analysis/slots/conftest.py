"""Simulated sweeps over table sizes, whose truth is known."""

from typing import Any

import numpy as np
import pandas as pd

from analysis.simulation.slots import SIZES, SlotsNoise, simulate_slots
from analysis.slots.slots_analysis import SlotsAnalysis, analyse_slots

EXACT = SlotsNoise(run=1e-9, seed=0.005)
"""Seeds that differ by their shift alone."""


def slots(world: str = "line", seeds: int = 3, seed: int = 0, **noise: float) -> pd.DataFrame:
    """Runs of a world, 64 to 65,536 rows per head, two arms and the backbone."""
    return simulate_slots(world, seeds, SlotsNoise(**noise), np.random.default_rng(seed))


def counted(table: pd.DataFrame, ngrams: int = 10_000) -> pd.DataFrame:
    """The runs with the rows that two tables of four heads have, and those that were looked up."""
    sizes = [int(size) for size in table["rows_per_head_asked"]]
    return table.assign(
        table_rows=[[[4 * size], [4 * size]] if size else [] for size in sizes],
        rows_touched=[
            [[4 * min(size, ngrams)], [min(4 * size, 900)]] if size else [] for size in sizes
        ],
    )


def quick(table: pd.DataFrame, **more: Any) -> SlotsAnalysis:
    """`analyse_slots` with fewer draws."""
    return analyse_slots(table, "sim", **{"draws": 500, **more})


def without(table: pd.DataFrame, *arms: str) -> pd.DataFrame:
    """The runs of the other arms."""
    return table.loc[~table["arm"].isin(arms)]


def only(table: pd.DataFrame, sizes: int) -> pd.DataFrame:
    """The runs of the smallest sizes, and the backbone."""
    return table.loc[table["rows_per_head_asked"] <= SIZES[sizes - 1]]
