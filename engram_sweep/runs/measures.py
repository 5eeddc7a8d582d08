"""What was measured inside finished runs: one parquet file per run and measure, beside its record.

A file has the measure's own columns; its schema metadata names the measure, its version and the
run (`measure_schema`). A measure's version rises if its columns or their meaning change: files of
another version are measured anew, and never read.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from engram_sweep.atomic_files import read_plain, write_atomically
from engram_sweep.errors import UserError
from engram_sweep.runs.measure_schema import MEASURED, misfit
from engram_sweep.runs.record_schema import CHECKSUMS
from engram_sweep.runs.records import read_runs, runs_folder

if TYPE_CHECKING:
    import pandas as pd

RUN_COLUMNS = ("run_id", "arm", "rho", "rho_asked", "seed", "steps", "validation_loss")
"""Columns of a run's record that stand beside what was measured in it."""


def measured_file(folder: Path, measure: str) -> Path:
    """Return where a measure of a run lies, e.g. `runs/116a.../strata.parquet`."""
    return folder / f"{measure}.parquet"


def write_measured(folder: Path, measure: str, table: pa.Table) -> None:
    """Write what a measure found in a run, whole or not at all.

    Args:
        folder: the run folder; its name is the run's id.
        measure: name of the measure.
        table: what it found.

    Raises:
        UserError: it is not what the measure writes: a number that is not finite, say.
        OSError: the folder cannot be written; an older file is untouched.
    """
    path = measured_file(folder, measure)
    if (problem := misfit(measure, table)) is not None:
        raise UserError(f"{path}: not written, {problem}")
    stamp = {"measure": measure, "version": str(MEASURED[measure].version), "run_id": _id(folder)}
    stamped = table.replace_schema_metadata(stamp)
    write_atomically(path, lambda temporary: pq.write_table(stamped, temporary, **CHECKSUMS))


def read_measured(folder: Path, measure: str) -> pa.Table | None:
    """Return what a measure found in a run; None if it was not measured, or by an older version.

    Args:
        folder: the run folder.
        measure: name of the measure.

    Raises:
        UserError: the file is not what this version of the measure has written of this run.
    """
    path = measured_file(folder, measure)
    try:
        data = pa.BufferReader(read_plain(path))
        table = pq.read_table(data, page_checksum_verification=True)
    except FileNotFoundError:
        return None
    except (OSError, pa.ArrowException) as error:
        reason = str(error).splitlines()[0]
        raise _refusal(path, measure, f"expected a readable parquet file: {reason}") from None
    metadata = table.schema.metadata or {}
    stamp = {key: value.decode(errors="replace") for key, value in metadata.items()}
    for key, wanted in ((b"measure", measure), (b"run_id", _id(folder))):
        if (found := stamp.get(key, "none")) != wanted:
            raise _refusal(path, measure, f"{key.decode()}: expected {wanted}, got {found}")
    ours, version = MEASURED[measure].version, stamp.get(b"version", "none")
    if not re.fullmatch("[1-9][0-9]{0,8}", version) or int(version) > ours:
        raise _refusal(path, measure, f"version: expected {ours} or an older one, got {version}")
    if int(version) < ours:
        return None
    if (problem := misfit(measure, table)) is not None:
        raise _refusal(path, measure, problem)
    return table


def is_measured(folder: Path, measure: str) -> bool:
    """Return whether a run has a file of this version of a measure that can be read."""
    try:
        return read_measured(folder, measure) is not None
    except UserError:
        return False


def has_measure(scale: str, results: Path, measure: str) -> bool:
    """Return whether a measure of some run of a scale is there."""
    folders = runs_folder(results, scale).glob("*/")
    return any(measured_file(folder, measure).is_file() for folder in folders)


def read_measures(
    scale: str, results: Path, measure: str, changes: Collection[str] = ()
) -> pd.DataFrame:
    """Return what a measure found in all runs of a sweep, in the order of `read_runs`.

    Runs that were not measured, or by an older version, are left out.

    Args:
        scale: its name.
        results: results folder.
        measure: name of the measure, which is its command too.
        changes: as in `read_runs`.

    Returns:
        The measure's rows, with `RUN_COLUMNS` of the run before them.

    Raises:
        UserError: no run was measured, or a file is not what the measure has written.
    """
    import pandas as pd

    runs = read_runs(scale, results, changes)
    folders = [runs_folder(results, scale) / str(run) for run in runs["run_id"]]
    frames = []
    for (_, run), folder in zip(runs.iterrows(), folders, strict=True):
        if (table := read_measured(folder, measure)) is not None:
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


def _id(folder: Path) -> str:
    return folder.absolute().name


def _refusal(path: Path, measure: str, problem: str) -> UserError:
    return UserError(f"{path}: {problem}; engram-sweep {measure} measures the run anew")
