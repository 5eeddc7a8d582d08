"""What was built and what was spent: parameters of each allocation, and the cost of the runs."""

import numpy as np
import pandas as pd

from engram_sweep.planning.arms import MOE

HELD = ("params_total", "params_active", "flops_per_token")
SPLIT = ("routed_experts", "params_table")


def ledger(runs: pd.DataFrame) -> pd.DataFrame:
    """Return one row per arm and rho: how the budget was split, and its miss of rho = 1 (percent).

    A sweep over table sizes has a row for each of them.

    Args:
        runs: any rows; empty is returned if a table of runs does not say what was built.
    """
    held = [column for column in HELD if column in runs]
    if not held:
        return pd.DataFrame()
    columns = [column for column in (*SPLIT, *HELD) if column in runs]
    sized = "rows_per_head_asked" in runs and bool(runs["rows_per_head_asked"].notna().any())
    points = ["arm", "rho", *(["rows_per_head_asked"] if sized else [])]
    table = runs.groupby(points, dropna=False)[columns].first().reset_index()
    ascending = [one != "rho" for one in points]
    table = table.sort_values(
        [*points[1:], "arm"], ascending=[*ascending[1:], True], ignore_index=True
    )
    anchor = table.loc[table["arm"] == MOE.key]
    if len(anchor):
        for column in held:
            miss = 100 * (table[column] / anchor[column].iloc[0] - 1)
            table[f"{column}, off rho = 1"] = [f"{one:+.3f} %" for one in miss]
    for column in columns:
        table[column] = [f"{one:,.0f}" if pd.notna(one) else None for one in table[column]]
    return table


def bill(runs: pd.DataFrame) -> pd.DataFrame:
    """Return one row per arm and one for all: runs, tokens, FLOPs, hours, restarts and speed.

    Hours are wall-clock of a run's training, summed over runs; a run that ended without a record is
    not in it.
    """
    frame = pd.DataFrame({"arm": runs["arm"], "runs": 1})
    if "tokens" in runs:
        frame["tokens"] = runs["tokens"]
    if {"tokens", "flops_per_token"} <= set(runs):
        frame["FLOPs"] = runs["tokens"] * runs["flops_per_token"]
    if "wall_seconds" in runs:
        frame["run hours"] = runs["wall_seconds"] / 3600
    if "gpu_hours" in runs and bool(np.any(runs["gpu_hours"] > 0)):
        frame["GPU-hours"] = runs["gpu_hours"]
    if "restarts" in runs:
        frame["restarts"] = runs["restarts"]
    frame = pd.concat([frame.sort_values("arm"), frame.assign(arm="all")])
    table = frame.pivot_table(index="arm", aggfunc="sum", sort=False)[
        list(frame.columns[1:])
    ].reset_index()
    if {"FLOPs", "run hours"} <= set(table):
        table["GFLOP/s"] = table["FLOPs"] / table["run hours"] / 3600e9
    for column, digits in (
        ("runs", ",.0f"),
        ("tokens", ",.0f"),
        ("FLOPs", ".3e"),
        ("run hours", ".3g"),
        ("GPU-hours", ".3g"),
        ("restarts", ".0f"),
    ):
        if column in table:
            table[column] = [format(one, digits) for one in table[column]]
    return table
