"""Runs by a name: those of a sweep, or of a table in a file."""

from collections.abc import Collection
from pathlib import Path

import pandas as pd

from engram_sweep.runs.records import read_runs
from engram_sweep.runs.table_files import SUFFIXES, read_table


def read_sweep(
    named: str, results: Path = Path("results"), changes: Collection[str] = ()
) -> pd.DataFrame:
    """Return the runs of a sweep, or of any table.

    Args:
        named: the name of a sweep under the results folder, or a file, NAME.parquet or NAME.csv.
        results: the results folder.
        changes: of a sweep, those that it was trained with (`--set`).

    Raises:
        UserError: there is no such sweep, or the file cannot be read.
    """
    if is_table(named):
        return read_table(Path(named))
    return read_runs(named, results, changes)


def is_table(named: str) -> bool:
    """Return whether a name is that of a file with a table."""
    return Path(named).suffix in SUFFIXES
