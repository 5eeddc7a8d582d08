"""The record of a finished run: one parquet file, one row, a schema with a version.

A run is done when, and only when, its record validates. Units are in the field metadata.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from engram_sweep.atomic_files import (
    read_fields,
    read_json,
    read_plain,
    write_atomically,
    write_json,
)
from engram_sweep.errors import UserError
from engram_sweep.runs.record_cache import FOLDER, collect, read_record
from engram_sweep.runs.record_schema import CHECKSUMS, FILE_NAME, SCHEMA, SCHEMA_VERSION

if TYPE_CHECKING:
    import pandas as pd


def write_record(path: Path, values: dict[str, Any]) -> None:
    """Write one record, once: temporary file, sync, read back, rename.

    Args:
        path: where to.
        values: a value for every column but `schema_version`.

    Raises:
        ValueError: a column is missing, unknown or of another type.
        OSError: the disk is full or read-only; nothing is left behind.
    """
    row = {"schema_version": SCHEMA_VERSION, **values}
    if set(row) != set(SCHEMA.names):
        raise ValueError(
            f"record columns differ from the schema: {sorted(set(row) ^ set(SCHEMA.names))}"
        )
    try:
        table = pa.Table.from_pylist([row], schema=SCHEMA)
        table.validate(full=True)
        whole = pa.BufferOutputStream()
        # Refuses a missing value if the schema wants one. Without dictionaries and statistics,
        # which one row has no use for, a record is a third smaller and read faster.
        pq.write_table(table, whole, use_dictionary=False, write_statistics=False, **CHECKSUMS)
    except (pa.ArrowException, TypeError) as error:
        raise ValueError(f"record does not fit the schema: {error}") from error

    def write(temporary: Path) -> None:
        temporary.write_bytes(whole.getvalue())
        # By text, because a diverged run's NaN does not equal itself.
        if repr(pq.read_table(temporary).to_pylist()) != repr(table.to_pylist()):
            raise OSError(f"{path}: the record read back differs from what was written")

    write_atomically(path, write)


def is_done(folder: Path, run_id: str) -> bool:
    """Return whether a run folder holds a whole record of this very run."""
    columns = ["run_id", "schema_version", "validation_loss"]
    record = read_record(folder / FILE_NAME, columns)
    if record is None or not set(columns) <= set(record.column_names):
        return False
    return record["run_id"][0].as_py() == run_id


def read_parquet(path: Path) -> pd.DataFrame:
    """Any table of runs in one parquet file.

    Raises:
        UserError: the file is missing, no parquet, or lacks rho, seed or validation_loss.
    """
    try:
        data = pa.BufferReader(read_plain(path))
        frame = pq.read_table(data, page_checksum_verification=True).to_pandas()
    except FileNotFoundError:
        raise UserError(f"{path}: expected a parquet file, there is none") from None
    except (OSError, pa.ArrowException) as error:
        raise UserError(
            f"{path}: expected a readable parquet file: {str(error).splitlines()[0]}"
        ) from None
    missing = [name for name in ("rho", "seed", "validation_loss") if name not in frame.columns]
    if missing:
        raise UserError(
            f"{path}: expected the columns rho, seed and validation_loss, {', '.join(missing)} "
            "missing"
        )
    return frame


def runs_folder(results: Path, scale: str) -> Path:
    """Folder of all run folders of a scale."""
    return results / scale / "runs"


def write_members(scale: str, run_ids: list[str], results: Path) -> None:
    """Note which runs the sweep consists of; runs of an earlier YAML stay out of its table.

    Raises:
        OSError: the folder cannot be written.
    """
    path, members = results / scale / "sweep.json", {"runs": sorted(run_ids)}
    if read_json(path) != members:
        write_json(path, members)


def read_runs(scale: str, results: Path = Path("results")) -> pd.DataFrame:
    """Return the finished runs of a scale: one row per record, by arm, rho and seed.

    Only runs that the last `sweep` consisted of count; all there are if that is not known.

    Raises:
        UserError: no finished run yet, or a record that cannot be read.
    """
    return _table_of_runs(scale, results).to_pandas()


def export_runs(scale: str, results: Path, path: Path) -> int:
    """Write the finished runs of a scale to one file, to hand on; return how many there are.

    Raises:
        UserError: no finished run yet, or the file cannot be written.
    """
    table = _table_of_runs(scale, results)
    try:
        write_atomically(path, lambda temporary: pq.write_table(table, temporary, **CHECKSUMS))
    except OSError as error:
        raise UserError(
            f"{path}: expected a file that can be written: {error.strerror or error}"
        ) from None
    return table.num_rows


def _table_of_runs(scale: str, results: Path) -> pa.Table:
    """Return the finished runs that are members of the sweep, sorted by arm, rho and seed."""
    if scale != Path(scale).name or scale in ("", "..") or "\0" in scale:
        raise UserError(f"expected the name of a sweep in {results}, got {scale!r}")
    runs = runs_folder(results, scale)
    table, unreadable = collect(runs, FILE_NAME)
    if members := read_fields(results / scale / "sweep.json", runs=list):
        ours = {name for name in members["runs"] if isinstance(name, str)}
        if not ours.issuperset(names := table[FOLDER].to_pylist()):
            table = table.filter(pa.array([name in ours for name in names]))
        unreadable = [name for name in unreadable if name in ours]
    for name in unreadable:
        read_parquet(runs / name / FILE_NAME)  # says why it cannot be read
        raise UserError(f"{runs / name / FILE_NAME}: expected the record of one run")
    if not table.num_rows:
        raise UserError(f"{runs}: no finished runs; make sweep SCALE={scale} trains them")
    order: list[tuple[str, str]] = [(name, "ascending") for name in ("arm", "rho", "seed")]
    return table.drop_columns([FOLDER]).sort_by(order)
