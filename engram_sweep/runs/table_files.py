"""Tables of runs as files: parquet, and CSV for spreadsheets and for tables from elsewhere."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from engram_sweep.atomic_files import read_plain, write_atomically
from engram_sweep.errors import UserError, printable
from engram_sweep.runs.record_schema import CHECKSUMS, SCHEMA

if TYPE_CHECKING:
    import pandas as pd

SUFFIXES = (".parquet", ".csv")
"""What a table of runs may be stored as."""
REQUIRED = ("rho", "seed", "validation_loss")
"""Columns that every table of runs must have."""

NUMBERS = tuple(
    field.name
    for field in SCHEMA
    if pa.types.is_integer(field.type) or pa.types.is_floating(field.type)
)
"""Columns of a record that hold numbers; a table may lack those that are not `REQUIRED`."""


def check_suffix(path: Path) -> str:
    """Return the suffix of a table's file.

    Raises:
        UserError: it is none of `SUFFIXES`.
    """
    if path.suffix not in SUFFIXES:
        raise UserError(f"{path}: expected a name that ends in {' or '.join(SUFFIXES)}")
    return path.suffix


def read_table(path: Path) -> pd.DataFrame:
    """Return any table of runs in one file, parquet or CSV by its suffix.

    Raises:
        UserError: the file is missing, not what its suffix says, or lacks a column of `REQUIRED`.
    """
    return read_csv(path) if path.suffix == ".csv" else read_parquet(path)


def write_table(table: pa.Table, path: Path) -> None:
    """Write a table of runs to one file, parquet or CSV by its suffix.

    Raises:
        UserError: the suffix is another one, or the file cannot be written.
    """
    is_csv = check_suffix(path) == ".csv"

    def write(temporary: Path) -> None:
        if is_csv:
            _with_json_cells(table).to_csv(temporary, index=False)
        else:
            pq.write_table(table, temporary, **CHECKSUMS)

    try:
        write_atomically(path, write)
    except OSError as error:
        raise UserError(
            f"{path}: expected a file that can be written: {error.strerror or error}"
        ) from None


def read_parquet(path: Path) -> pd.DataFrame:
    """Return any table of runs in one parquet file.

    Raises:
        UserError: the file is missing, no parquet, or lacks rho, seed or validation_loss.
    """
    try:
        data = pa.BufferReader(read_plain(path))
        _refuse_twice(pq.read_schema(data).names, path)
        frame = pq.read_table(data, page_checksum_verification=True).to_pandas()
    except FileNotFoundError:
        raise UserError(f"{path}: expected a parquet file, there is none") from None
    except (OSError, pa.ArrowException) as error:
        raise UserError(
            f"{path}: expected a readable parquet file: {str(error).splitlines()[0]}"
        ) from None
    return _with_required(frame, path)


def read_csv(path: Path) -> pd.DataFrame:
    """Return any table of runs in one CSV file.

    Columns of a record get a record's types: run ids of digits stay text, lists are lists again.

    Raises:
        UserError: the file is missing, no CSV, or lacks rho, seed or validation_loss.
    """
    import io

    import pandas as pd

    texts = {field.name: "str" for field in SCHEMA if field.name not in NUMBERS}
    try:
        data = read_plain(path)
        # Pandas gives a second column of a name another one.
        _refuse_twice(pd.read_csv(io.BytesIO(data), header=None, nrows=1, dtype=str).iloc[0], path)
        frame = pd.read_csv(io.BytesIO(data), dtype=texts)
        # Cells beyond the last heading would make an index of the first ones.
        if not isinstance(frame.index, pd.RangeIndex):
            raise ValueError("expected no more cells in a row than headings")
    except FileNotFoundError:
        raise UserError(f"{path}: expected a CSV file, there is none") from None
    # Beside the reader's own errors (ValueError): bytes that are no text (UnicodeDecodeError too).
    except UserError:
        raise
    except (OSError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        raise UserError(f"{path}: expected a readable CSV file: {reason}") from None
    frame = _with_required(frame, path)
    for field in SCHEMA:
        known = field.name in NUMBERS or pa.types.is_string(field.type)
        if field.name in frame and not known:
            frame[field.name] = _typed(frame[field.name].tolist(), field, path)
    return frame


def _typed(cells: list[object], field: pa.Field, path: Path) -> pd.Series:
    """Return the cells of a CSV column as parquet would hold them: times, lists, pairs.

    Raises:
        UserError: a cell is no such value.
    """
    parse: Callable[[str], Any] = json.loads
    if pa.types.is_timestamp(field.type):
        parse = datetime.fromisoformat
    try:
        # An empty cell is a missing value, and no text.
        values = [parse(cell) if isinstance(cell, str) else None for cell in cells]
        if pa.types.is_map(field.type):
            values = [
                None if pairs is None else [tuple(pair) for pair in pairs] for pairs in values
            ]
        return pa.array(values, field.type).to_pandas()
    except (ValueError, TypeError, pa.ArrowException) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"{path}: column '{field.name}': expected {field.type}: {reason}") from None


def _with_json_cells(table: pa.Table) -> pd.DataFrame:
    """Return a table whose lists are JSON, one text a cell."""
    frame = table.to_pandas()
    for field in table.schema:
        if pa.types.is_nested(field.type):
            frame[field.name] = [
                None if cell is None else json.dumps(cell) for cell in table[field.name].to_pylist()
            ]
    return frame


def _with_required(frame: pd.DataFrame, path: Path) -> pd.DataFrame:
    missing = [name for name in REQUIRED if name not in frame.columns]
    if missing:
        raise UserError(
            f"{path}: expected the columns rho, seed and validation_loss, {', '.join(missing)} "
            "missing"
        )
    return frame


def _refuse_twice(columns: Iterable[object], path: Path) -> None:
    """Refuse a table with two columns of one name.

    Raises:
        UserError: it has them.
    """
    seen = set()
    for name in columns:
        if name in seen:
            raise UserError(
                f"{path}: expected each column once, {printable(str(name))!r} is there twice"
            )
        seen.add(name)
