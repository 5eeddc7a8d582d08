from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engram_sweep.errors import UserError
from engram_sweep.runs.record_schema import SCHEMA
from engram_sweep.runs.table_files import read_csv, read_parquet, read_table, write_table
from tests.conftest import ROOT
from tests.runs.test_records import values


def table(*rows: dict[str, object]) -> pa.Table:
    return pa.Table.from_pylist([{"schema_version": 2, **row} for row in rows], schema=SCHEMA)


@pytest.mark.parametrize("version", [1, 2])
def test_a_csv_file_of_records_is_their_parquet_file(tmp_path: Path, version: int) -> None:
    records = pq.read_table(ROOT / "tests" / "fixtures" / f"records-v{version}.parquet")
    write_table(records, tmp_path / "runs.csv")
    write_table(records, tmp_path / "runs.parquet")
    from_csv, from_parquet = (read_table(tmp_path / f"runs.{kind}") for kind in ("csv", "parquet"))
    pd.testing.assert_frame_equal(from_csv, from_parquet, check_dtype=False, check_exact=True)


def test_text_of_digits_stays_text(tmp_path: Path) -> None:
    """A run id may be one, e.g. 000...01 or 1e5...: a number would be another id."""
    ids = ["0" * 31 + "1", "1e5" + "0" * 29]
    write_table(table(*(values(run_id=each) for each in ids)), tmp_path / "runs.csv")
    assert read_csv(tmp_path / "runs.csv").run_id.tolist() == ids


@settings(deadline=None, max_examples=40)
@given(loss=st.floats(0, 20), losses=st.lists(st.floats(0, 20, width=32), max_size=4))
def test_losses_come_back_bit_for_bit(
    tmp_path_factory: pytest.TempPathFactory, loss: float, losses: list[float]
) -> None:
    path = tmp_path_factory.mktemp("csv") / "runs.csv"
    write_table(table(values(validation_loss=loss, window_losses=losses)), path)
    found = read_csv(path)
    assert found.validation_loss.tolist() == [loss]
    assert found.window_losses[0].tolist() == losses


def test_a_table_from_elsewhere_needs_three_columns(tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    path.write_text("rho,seed,validation_loss,note\n1,0,1.5,ours\n0.5,0,1.25,\n")
    assert read_table(path).validation_loss.tolist() == [1.5, 1.25]
    path.write_text("rho,loss\n1,1.5\n")
    with pytest.raises(
        UserError, match=r"mine\.csv: expected the columns .*, seed, validation_loss"
    ):
        read_table(path)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "expected a readable CSV file"),
        (b"\xff\xfe\x00rho", "expected a readable CSV file"),
        (b"rho,seed,validation_loss\n1,2,3,4,5\n1\n", "expected"),
        (b"rho,seed,validation_loss,window_losses\n1,0,1.5,many\n", "column 'window_losses'"),
        (b"rho,seed,validation_loss,started_at\n1,0,1.5,today\n", "column 'started_at'"),
        (
            b"rho,seed,validation_loss,note,note\n1,0,1.5,a,b\n",
            "expected each column once, 'note' is there twice",
        ),
        (b"rho,seed,validation_loss,versions\n1,0,1.5,3\n", "column 'versions'"),
    ],
)
def test_what_is_no_table_is_one_line(tmp_path: Path, content: bytes, says: str) -> None:
    path = tmp_path / "bad.csv"
    path.write_bytes(content)
    with pytest.raises(UserError, match=says) as found:
        read_table(path)
    assert str(path) in str(found.value)
    assert "\n" not in str(found.value)


def test_a_parquet_file_with_a_column_twice_is_one_line(tmp_path: Path) -> None:
    names = ["rho", "seed", "validation_loss", "rho"]
    pq.write_table(pa.table([pa.array([1.0])] * 4, names=names), tmp_path / "twice.parquet")
    with pytest.raises(
        UserError, match=r"twice\.parquet: expected each column once, 'rho' is there"
    ):
        read_table(tmp_path / "twice.parquet")


def test_another_suffix_writes_nothing(tmp_path: Path) -> None:
    with pytest.raises(
        UserError, match=r"x\.xlsx: expected a name that ends in \.parquet or \.csv"
    ):
        write_table(table(values()), tmp_path / "x.xlsx")
    assert list(tmp_path.iterdir()) == []


def test_lists_are_json_in_a_cell(tmp_path: Path) -> None:
    write_table(table(values()), tmp_path / "runs.csv")
    cells = pd.read_csv(tmp_path / "runs.csv").iloc[0]
    assert json.loads(cells.window_losses) == [1.0, 1.5]
    assert read_csv(tmp_path / "runs.csv").versions[0] == [("python", "3")]


def test_a_missing_file_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="expected a CSV file, there is none"):
        read_csv(tmp_path / "no.csv")
    with pytest.raises(UserError, match="expected a parquet file, there is none"):
        read_parquet(tmp_path / "no.parquet")
