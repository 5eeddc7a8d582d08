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


def as_runs(rows: pd.DataFrame) -> pd.DataFrame:
    """Return tallies as a table of runs whose windows are the documents that all runs have."""
    keys = ["run_id", "arm", "rho", "seed"]
    runs = rows.pivot_table(["loss", "tokens"], keys, aggfunc="sum").reset_index()
    losses = rows.pivot_table("loss", "run_id", "document", aggfunc="sum")
    tokens = rows.pivot_table("tokens", "run_id", "document", aggfunc="sum")
    kept = tokens.columns[tokens.notna().all()]
    means = (losses / tokens)[kept].loc[runs["run_id"]]
    counts = tokens[kept].loc[runs["run_id"]]
    return runs.assign(
        validation_loss=runs["loss"] / runs["tokens"],
        outcome="ok",
        window_losses=[row.to_numpy() for _, row in means.iterrows()],
        window_tokens=[row.to_numpy() for _, row in counts.iterrows()],
    )
