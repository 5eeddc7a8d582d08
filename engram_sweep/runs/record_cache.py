"""The records of a sweep as one table, without opening ten thousand files each time.

`results/<scale>/records.parquet` is a cache of them, written by whoever reads many. A row is used
only while its record file has the same size and mtime.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from engram_sweep.atomic_files import write_atomically
from engram_sweep.runs.record_schema import CHECKSUMS, SCHEMA, fits

COPY = "records.parquet"
KEY = pa.schema([("_folder", pa.string()), ("_size", pa.int64()), ("_changed_ns", pa.int64())])
"""Columns beside the records' own: run folder, and size and mtime of the record's file."""
FOLDER = KEY.names[0]
MIN_NEW = 50
MIN_NEW_SHARE = 0.1
"""The copy is made anew if it lacks more than `MIN_NEW` records and this share of those it has.

Until then they are read one by one."""


def is_grown(new: int, known: int) -> bool:
    """Return whether so many new records beside so many known ones are worth a new copy."""
    return new > max(MIN_NEW, MIN_NEW_SHARE * known)


def collect(
    runs: Path,
    file_name: str,
    columns: Sequence[str] | None = None,
    only: Collection[str] | None = None,
) -> tuple[pa.Table, list[str]]:
    """Return the records of all run folders, or of some.

    Args:
        runs: the folder of run folders; the copy lies beside it.
        file_name: the records' file name.
        columns: which columns; None means all, and then the copy is made anew if it lacks much.
        only: read these run folders one by one, without the copy.

    Returns:
        One row per record, with its run folder's name in column `FOLDER`, in no order; null if a
        record, being older, lacks a column. And the folders whose record cannot be read.
    """
    names: Iterable[str] = only or ()
    if only is None and runs.is_dir():
        names = os.listdir(runs)
    found = _found(runs, names, file_name)

    # A row of the copy counts if its record has not changed since; what changed is read again.
    copy = runs.with_name(COPY)
    copied = _read_copy(copy, columns) if only is None else KEY.empty_table()
    valid = [found.get(name) == [size, changed] for name, size, changed in _keys(copied)]
    if not all(valid):
        copied = copied.filter(pa.array(valid))
    known = set(copied[FOLDER].to_pylist())
    new = sorted(set(found) - known)

    # More threads than cores would only wait for each other, unless the file system is slow.
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        rows = list(pool.map(lambda name: read_record(runs / name / file_name, columns), new))
    read = [(name, row) for name, row in zip(new, rows, strict=True) if row is not None]
    unreadable = [name for name, row in zip(new, rows, strict=True) if row is None]
    fresh = _on_top([row for _, row in read] or [pa.table({})])
    for i, field in enumerate(KEY):
        keys = [(name, *found[name])[i] for name, _ in read]
        fresh = fresh.append_column(field, pa.array(keys, field.type))

    # Records of an older version lack columns, so every column may hold nulls.
    table = _on_top([copied, fresh]).combine_chunks()
    table = table.cast(pa.schema([field.with_nullable(True) for field in table.schema]))

    # A copy of some columns would be none; a folder that cannot be written stays slow to read.
    if only is None and columns is None and is_grown(len(new), len(known)):
        with suppress(OSError):
            write_atomically(copy, lambda temporary: pq.write_table(table, temporary, **CHECKSUMS))
    wanted = [name for name in columns or table.column_names if name not in KEY.names]
    there = [name for name in wanted if name in table.column_names]
    return table.select([FOLDER, *there]), unreadable


def _on_top(tables: Sequence[pa.Table]) -> pa.Table:
    """Return the rows of all tables; null where one lacks a column."""
    try:
        return pa.concat_tables(tables, promote_options="default")
    except pa.ArrowTypeError:
        # Columns that others added may be of a type that differs from run to run.
        ours = [
            table.select([n for n in table.column_names if n in (*SCHEMA.names, *KEY.names)])
            for table in tables
        ]
        return pa.concat_tables(ours, promote_options="default")


def _keys(table: pa.Table) -> Iterator[tuple[str, int, int]]:
    """Yield folder, size and mtime (nanoseconds) of the record behind each row of a copy."""
    return zip(*(table[name].to_pylist() for name in KEY.names), strict=True)


def _found(runs: Path, names: Iterable[str], file_name: str) -> dict[str, list[int]]:
    """Return size and mtime (nanoseconds) of every record there is, by run folder.

    Raises:
        PermissionError: a run folder may not be entered.
    """
    found = {}
    for name in names:
        try:
            there = os.stat(f"{runs}/{name}/{file_name}")
        except PermissionError:
            # Not absent: another user's, who has not let the group look.
            raise
        except OSError:
            continue
        found[name] = [there.st_size, there.st_mtime_ns]
    return found


def _read_copy(path: Path, columns: Sequence[str] | None) -> pa.Table:
    """Return the copy, or an empty table if it is none."""
    if not path.is_file():
        return KEY.empty_table()
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            there = file.schema_arrow
            ours = all(
                SCHEMA.field(field.name).type.equals(field.type)
                for field in there
                if field.name in SCHEMA.names
            )
            if not ours or any(there.field(key.name).type != key.type for key in KEY):
                return KEY.empty_table()
            wanted = [n for n in there.names if columns is None or n in (*KEY.names, *columns)]
            return file.read(columns=wanted)
    except (OSError, KeyError, pa.ArrowException):
        return KEY.empty_table()


def read_record(path: Path, columns: Sequence[str] | None = None) -> pa.Table | None:
    """Return a record, or some columns of it; None if the file is none.

    Args:
        path: the file.
        columns: which; those that an older version lacks are left out.
    """
    # A pipe in place of the file would keep the reader waiting.
    if not path.is_file():
        return None
    try:
        # Half the time of `pq.read_table`, which opens a dataset.
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            names = file.schema_arrow.names
            if len(set(names)) != len(names) or not set(names).isdisjoint(KEY.names):
                return None
            row = file.read(columns=columns, use_threads=False)
    except (OSError, pa.ArrowException):
        return None
    return row if fits(row, columns) else None
