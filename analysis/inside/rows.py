"""Which rows of a measure an analysis reads, and at which rho it speaks."""

import numpy as np
import pandas as pd

from analysis.runs.table import CURVE_ARMS


def of_curve(table: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of the runs along rho; control arms stay in the published table only."""
    return table.loc[table["arm"].isin(CURVE_ARMS)]


def at_rho(rows: pd.DataFrame, rho: float) -> pd.DataFrame:
    """Return the rows of one rho."""
    return rows.loc[np.isclose(rows["rho"], rho)]


def best_rho(rows: pd.DataFrame) -> float:
    """Return the rho below 1 whose runs have the lowest mean validation loss.

    Args:
        rows: of any measure, with some run below 1.
    """
    runs = rows.loc[rows["rho"] < 1].drop_duplicates("run_id")
    return float(str(runs.groupby("rho")["validation_loss"].mean().idxmin()))


def count(rows: pd.DataFrame, column: str) -> int:
    """Return how many different values a column has."""
    return len(set(rows[column]))
