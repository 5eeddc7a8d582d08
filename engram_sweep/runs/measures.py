"""What was measured inside finished runs: one parquet file per run and measure, beside its record.

A file has the measure's own columns; its schema metadata names the measure, its version and the
run. A measure's version rises if its columns or their meaning change: files of another version are
measured anew, and never read.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from engram_sweep.atomic_files import read_plain, write_atomically
from engram_sweep.errors import UserError
from engram_sweep.runs.record_schema import CHECKSUMS
from engram_sweep.runs.records import read_runs, runs_folder

if TYPE_CHECKING:
    import pandas as pd

RUN_COLUMNS = ("run_id", "arm", "rho", "rho_asked", "seed", "steps", "validation_loss")
"""Columns of a run's record that stand beside what was measured in it."""


def measured_file(folder: Path, measure: str) -> Path:
    """Return where a measure of a run lies, e.g. `runs/116a.../strata.parquet`."""
    return folder / f"{measure}.parquet"


def write_measured(folder: Path, measure: str, version: int, table: pa.Table) -> None:
    """Write what a measure found in a run, whole or not at all.

    Args:
        folder: the run folder; its name is the run's id.
        measure: name of the measure.
        version: of its columns.
        table: what it found.

    Raises:
        OSError: the folder cannot be written; an older file is untouched.
    """
    stamped = table.replace_schema_metadata(_stamp(folder, measure, version))
    write_atomically(
        measured_file(folder, measure),
        lambda temporary: pq.write_table(stamped, temporary, **CHECKSUMS),
    )


def read_measured(folder: Path, measure: str, version: int | None = None) -> pa.Table | None:
    """Return what a measure found in a run; None if it was not measured, or by another version.

    Args:
        folder: the run folder.
        measure: name of the measure.
        version: of its columns; None takes any.
    """
    try:
        data = pa.BufferReader(read_plain(measured_file(folder, measure)))
        table = pq.read_table(data, page_checksum_verification=True)
    except (OSError, pa.ArrowException):
        return None
    found = table.schema.metadata or {}
    wanted = _stamp(folder, measure, version or 0)
    keys = [key for key in wanted if key != "version" or version is not None]
    if any(found.get(key.encode()) != wanted[key].encode() for key in keys):
        return None
    return table


def has_measure(scale: str, results: Path, measure: str) -> bool:
    """Return whether a measure of some run of a scale is there."""
    folders = runs_folder(results, scale).glob("*/")
    return any(measured_file(folder, measure).is_file() for folder in folders)


def read_measures(
    scale: str, results: Path, measure: str, changes: Collection[str] = ()
) -> pd.DataFrame:
    """Return what a measure found in all runs of a sweep, in the order of `read_runs`.

    If versions are mixed, runs that the newest one has not measured are left out.

    Args:
        scale: its name.
        results: results folder.
        measure: name of the measure, which is its command too.
        changes: as in `read_runs`.

    Returns:
        The measure's rows, with `RUN_COLUMNS` of the run before them.

    Raises:
        UserError: no run was measured.
    """
    import pandas as pd

    runs = read_runs(scale, results, changes)
    folders = [runs_folder(results, scale) / str(run) for run in runs["run_id"]]
    tables = [read_measured(folder, measure) for folder in folders]
    newest = max((_version(table) for table in tables if table is not None), default=0)
    frames = []
    for (_, run), table in zip(runs.iterrows(), tables, strict=True):
        if table is not None and _version(table) == newest:
            frame = table.to_pandas()
            for at, column in enumerate(RUN_COLUMNS):
                frame.insert(at, column, run[column])
            frames.append(frame)
    if not frames:
        raise UserError(
            f"{results / scale}: expected runs with a measure '{measure}', found none; make "
            f"{measure} SCALE={scale} measures them"
        )
    return pd.concat(frames, ignore_index=True)


def _version(table: pa.Table) -> int:
    return int(table.schema.metadata[b"version"])


def _stamp(folder: Path, measure: str, version: int) -> dict[str, str]:
    return {"measure": measure, "version": str(version), "run_id": folder.absolute().name}
