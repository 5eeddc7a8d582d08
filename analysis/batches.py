"""Which runs were trained together: one commit, one set of versions, one host, one device, no long pause."""

import pandas as pd

PROVENANCE = ("git_commit", "versions", "host", "device")
PAUSE_HOURS = 24.0
PAUSE_RUNS = 3.0  # a pause is also longer than this many of the longest run, so that slow sweeps stay one batch


def batch_of(runs: pd.DataFrame) -> pd.Series:
    """The batch that each run belongs to, numbered from 0 in order of appearance; all 0 without provenance."""
    columns = [column for column in PROVENANCE if column in runs]
    labels = runs[columns].map(str).agg("|".join, axis=1) if columns else pd.Series("", index=runs.index)
    if "started_at" in runs and not runs["started_at"].isna().any():
        order = runs["started_at"].sort_values(kind="stable")
        hours = order.diff().dt.total_seconds().fillna(0) / 3600
        longest = float(runs["wall_seconds"].max()) / 3600 if "wall_seconds" in runs else 0.0
        part = (hours > max(PAUSE_HOURS, PAUSE_RUNS * longest)).cumsum()
        labels = labels + "|" + part.reindex(runs.index).map(str)
    return pd.Series(pd.factorize(labels)[0], index=runs.index)
