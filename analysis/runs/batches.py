"""Which runs were trained together: one commit, versions, host and device, and no long pause."""

import numpy as np
import pandas as pd

PROVENANCE = ("git_commit", "versions", "host", "device")
"""Columns in which the runs of one batch agree."""
PAUSE_HOURS = 24.0
"""Hours between two starts above which a new batch begins."""
PAUSE_RUNS = 3.0
"""A pause is also longer than this many of the longest run, so that slow sweeps stay one batch."""


def batch_of(runs: pd.DataFrame) -> np.ndarray:
    """Return the batch that each run belongs to, numbered from 0 in order of appearance.

    Args:
        runs: one row per run; `started_at`, `wall_seconds` and the columns of PROVENANCE count as
            far as they are known.

    Returns:
        Numbers of shape (n,); all 0 without provenance.
    """
    columns = [list(map(str, runs[column])) for column in PROVENANCE if column in runs]
    if runs.empty:
        return np.zeros(0, dtype=int)
    if "started_at" in runs and not any(runs["started_at"].isna()):
        columns.append([str(part) for part in _parts(runs)])
    if not columns:
        return np.zeros(len(runs), dtype=int)
    labels = ["|".join(words) for words in zip(*columns, strict=True)]
    return pd.factorize(np.array(labels, dtype=object))[0]


def _parts(runs: pd.DataFrame) -> np.ndarray:
    """Return the stretch of time that each run was started in, numbered from 0, shape (n,)."""
    started = pd.to_datetime(runs["started_at"], utc=True)
    hours = ((started - pd.Timestamp(0, tz="UTC")) / pd.Timedelta(hours=1)).to_numpy(float)
    pause = PAUSE_HOURS
    if "wall_seconds" in runs:
        longest = float(runs["wall_seconds"].to_numpy(float).max()) / 3600
        pause = max(pause, PAUSE_RUNS * longest)
    # A stretch ends at every pause between runs in order of their start.
    order = np.argsort(hours, kind="stable")
    gaps = np.diff(hours[order], prepend=hours[order[:1]])
    parts = np.empty(len(runs), dtype=int)
    parts[order] = np.cumsum(gaps > pause)
    return parts
