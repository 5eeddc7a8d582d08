"""The record of a finished run: one parquet file, one row, a schema with a version.

A run is done when, and only when, its record validates. Units are in the field metadata.
"""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import xxhash

from engram_sweep.atomic_files import read_fields, read_json, write_atomically, write_json
from engram_sweep.errors import UserError, did_you_mean
from engram_sweep.runs.record_cache import FOLDER, collect, read_record
from engram_sweep.runs.record_schema import ALWAYS, CHECKSUMS, FILE_NAME, SCHEMA, SCHEMA_VERSION
from engram_sweep.runs.table_files import check_suffix, read_parquet, write_table
from engram_sweep.spec import canonical_json

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
    record = read_record(folder / FILE_NAME, ALWAYS)
    return record is not None and record["run_id"][0].as_py() == run_id


def runs_folder(results: Path, scale: str) -> Path:
    """Folder of all run folders of a scale."""
    return results / scale / "runs"


def write_members(
    scale: str, run_ids: list[str], results: Path, changes: Collection[str] = ()
) -> None:
    """Note which runs the sweep consists of; runs of an earlier YAML stay out of its table.

    Args:
        scale: its name.
        run_ids: its runs.
        results: results folder.
        changes: what `--set` put in place of the file's values, as `Scale.changes` has it. A sweep
            with other changes has a note of its own.

    Raises:
        OSError: the folder cannot be written.
    """
    path, members = note_file("sweep", scale, results, changes), {"runs": sorted(run_ids)}
    if changes:
        members["set"] = sorted(changes)
    if read_json(path) != members:
        write_json(path, members)


def noted_members(scale: str, results: Path, changes: Collection[str] = ()) -> set[str] | None:
    """Return the ids of the runs that a sweep is noted to consist of; None without such a note.

    Raises:
        UserError: the note is none: without it, runs of other versions of the scale would count.
    """
    path = note_file("sweep", scale, results, changes)
    members = read_fields(path, runs=list)
    if members is None and os.path.lexists(path):
        raise UserError(
            f"{path}: expected a readable note of the sweep's runs; make sweep SCALE={scale} "
            "writes it anew"
        )
    if members is None:
        return None
    return {name for name in members["runs"] if isinstance(name, str)}


def note_file(kind: str, scale: str, results: Path, changes: Collection[str]) -> Path:
    """Return where a note of a sweep lies: `<kind>.json`, or one by the digest of its changes.

    Args:
        kind: what is noted, e.g. `sweep` for its members.
        scale: its name.
        results: results folder.
        changes: its `--set`, as `Scale.changes` has it.
    """
    if not changes:
        return results / scale / f"{kind}.json"
    digest = xxhash.xxh3_64_hexdigest(canonical_json(sorted(changes)).encode())
    return results / scale / f"{kind}-{digest}.json"


def read_runs(
    scale: str, results: Path = Path("results"), changes: Collection[str] = ()
) -> pd.DataFrame:
    """Return the finished runs of a scale: one row per record, by arm, rho and seed.

    Only runs that the last `sweep` consisted of count; all there are if that is not known.

    Args:
        scale: its name.
        results: results folder.
        changes: read the sweep that was trained with these changes (`Scale.changes`).

    Raises:
        UserError: no finished run yet, a record that cannot be read or is another run's, or the
            note of the sweep's runs cannot be read.
    """
    return _table_of_runs(scale, results, changes).to_pandas()


def export_runs(scale: str, results: Path, path: Path, changes: Collection[str] = ()) -> int:
    """Write the finished runs of a scale to one file, to hand on; return how many there are.

    Args:
        scale: its name.
        results: results folder.
        path: the file; its suffix says whether it is parquet or CSV.
        changes: as in `read_runs`.

    Raises:
        UserError: no finished run yet, or the file cannot be written.
    """
    check_suffix(path)
    table = _table_of_runs(scale, results, changes)
    write_table(table, path)
    return table.num_rows


def _table_of_runs(scale: str, results: Path, changes: Collection[str]) -> pa.Table:
    """Return the finished runs that are members of the sweep, sorted by arm, rho and seed."""
    if scale != Path(scale).name or scale in ("", "..") or "\0" in scale:
        raise UserError(f"expected the name of a sweep in {results}, got {scale!r}")
    runs = runs_folder(results, scale)
    if not runs.is_dir():
        raise UserError(_no_sweep(scale, results))
    table, unreadable = collect(runs, FILE_NAME)
    if (ours := _members(scale, results, changes)) is not None:
        if not ours.issuperset(names := table[FOLDER].to_pylist()):
            table = table.filter(pa.array([name in ours for name in names]))
        unreadable = [name for name in unreadable if name in ours]
    for name in unreadable:
        read_parquet(runs / name / FILE_NAME)  # says why it cannot be read
        raise UserError(f"{runs / name / FILE_NAME}: expected the record of one run")
    for name, run_id in zip(table[FOLDER].to_pylist(), table["run_id"].to_pylist(), strict=True):
        if name != run_id:
            raise UserError(
                f"{runs / name / FILE_NAME}: expected the record of run {name}, found that of "
                f"{run_id}"
            )
    if not table.num_rows:
        raise UserError(f"{runs}: no finished runs; make sweep SCALE={scale} trains them")
    order: list[tuple[str, str]] = [(name, "ascending") for name in ("arm", "rho", "seed")]
    return table.drop_columns([FOLDER]).sort_by(order)


def _members(scale: str, results: Path, changes: Collection[str]) -> set[str] | None:
    """Return the ids of the runs that a sweep consists of; None if that is not known.

    Raises:
        UserError: the sweep was trained with other changes only.
    """
    if (members := noted_members(scale, results, changes)) is not None:
        return members
    notes = sorted((results / scale).glob("sweep-*.json"))
    others = [note["set"] for path in notes if (note := read_fields(path, set=list))]
    if not changes and not notes:
        return None
    shown = "; ".join(" ".join(f"--set {change}" for change in other) for other in others)
    asked = " ".join(f"--set {change}" for change in sorted(changes)) or "no --set"
    raise UserError(
        f"{results / scale}: expected a sweep with {asked}, trained there: "
        f"{shown or 'none with --set'}"
    )


def _no_sweep(scale: str, results: Path) -> str:
    there = sorted({path.parent.name for path in results.glob("*/sweep*.json")})
    known = f"trained there: {', '.join(there)}" if there else "nothing was trained there"
    return (
        f"no sweep named {scale!r} in {results}{did_you_mean(scale, there)}; {known}; make sweep "
        "SCALE=NAME trains one"
    )
