"""Which runs were trained together: one commit, one set of versions, one host, one device, no long pause."""

import numpy as np
import pandas as pd

PROVENANCE = ("git_commit", "versions", "host", "device")
PAUSE_HOURS = 24.0
PAUSE_RUNS = 3.0  # a pause is also longer than this many of the longest run, so that slow sweeps stay one batch


def batch_of(runs: pd.DataFrame) -> np.ndarray:
    """The batch that each run belongs to, numbered from 0 in order of appearance; all 0 without provenance."""
    columns = [list(map(str, runs[column])) for column in PROVENANCE if column in runs]
    if "started_at" in runs and not any(runs["started_at"].isna()):
        columns.append([str(part) for part in _parts(runs)])
    labels = (
        ["|".join(words) for words in zip(*columns, strict=True)] if columns else [""] * len(runs)
    )
    return pd.factorize(np.array(labels, dtype=object))[0]


def _parts(runs: pd.DataFrame) -> np.ndarray:
    """Which stretch of time a run was started in, numbered from 0."""
    started = pd.to_datetime(runs["started_at"], utc=True)
    hours = ((started - pd.Timestamp(0, tz="UTC")) / pd.Timedelta(hours=1)).to_numpy(float)
    longest = (
        float(runs["wall_seconds"].to_numpy(float).max()) / 3600 if "wall_seconds" in runs else 0.0
    )
    order = np.argsort(hours, kind="stable")
    parts = np.empty(len(runs), dtype=int)
    parts[order] = np.cumsum(
        np.diff(hours[order], prepend=hours[order[:1]]) > max(PAUSE_HOURS, PAUSE_RUNS * longest)
    )
    return parts
