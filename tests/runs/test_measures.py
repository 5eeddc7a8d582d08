from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from engram_sweep.errors import UserError
from engram_sweep.runs.measure_schema import MEASURED, Columns
from engram_sweep.runs.measures import (
    RUN_COLUMNS,
    has_measure,
    is_measured,
    measured_file,
    read_measured,
    read_measures,
    write_measured,
)
from tests.analysis.tables import sweep, write_runs
from tests.runs.test_measure_schema import a_table, changed

TABLE = a_table("strata")


def stamped(table: pa.Table, path: Path, **changes: str | None) -> None:
    """Write a table with a stamp that was changed; None leaves the key out."""
    stamp = {"measure": "strata", "version": "1", "run_id": path.parent.name, **changes}
    kept = {key: value for key, value in stamp.items() if value is not None}
    pq.write_table(table.replace_schema_metadata(kept), path)


def test_what_is_written_reads_back(tmp_path: Path) -> None:
    assert read_measured(tmp_path, "strata") is None
    write_measured(tmp_path, "strata", TABLE)
    found = read_measured(tmp_path, "strata")
    assert found is not None
    assert found.equals(TABLE)
    assert is_measured(tmp_path, "strata")
    assert not is_measured(tmp_path, "gates")


def test_a_file_of_an_older_version_is_no_measure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_measured(tmp_path, "strata", TABLE)
    monkeypatch.setitem(MEASURED, "strata", Columns(TABLE.schema, version=2))
    assert read_measured(tmp_path, "strata") is None


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"version": "999"}, "version: expected 1 or an older one, got 999"),
        ({"version": "abc"}, "version: expected 1 or an older one, got abc"),
        ({"version": "0"}, "version: expected 1 or an older one, got 0"),
        ({"version": None}, "version: expected 1 or an older one, got none"),
        ({"measure": "gates"}, "measure: expected strata, got gates"),
        ({"run_id": "other"}, "run_id: expected {run}, got other"),
    ],
)
def test_a_file_that_is_stamped_otherwise_is_one_line(
    tmp_path: Path, changes: dict[str, str | None], said: str
) -> None:
    path = measured_file(tmp_path, "strata")
    stamped(TABLE, path, **changes)
    with pytest.raises(UserError) as refused:
        read_measured(tmp_path, "strata")
    assert str(refused.value) == (
        f"{path}: {said.format(run=tmp_path.name)}; engram-sweep strata measures the run anew"
    )
    assert not is_measured(tmp_path, "strata")


def test_columns_that_the_measure_does_not_write_are_one_line(tmp_path: Path) -> None:
    path = measured_file(tmp_path, "strata")
    stamped(TABLE.drop_columns(["loss"]), path)
    with pytest.raises(UserError) as refused:
        read_measured(tmp_path, "strata")
    assert str(refused.value).startswith(f"{path}: expected the columns order, stratum, ")
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("size", [0, 7, -20])
def test_a_cut_file_is_one_line(tmp_path: Path, size: int) -> None:
    write_measured(tmp_path, "strata", TABLE)
    path = measured_file(tmp_path, "strata")
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(UserError, match=r"strata.parquet: expected a readable parquet file: "):
        read_measured(tmp_path, "strata")


def test_what_is_not_finite_is_not_written(tmp_path: Path) -> None:
    bad = changed(TABLE, "loss", pa.array([1.0, float("nan")]))
    with pytest.raises(UserError, match=r"strata.parquet: not written, loss: expected finite"):
        write_measured(tmp_path, "strata", bad)
    assert not list(tmp_path.iterdir())


def test_a_full_disk_leaves_the_older_file(small_disk: Path) -> None:
    write_measured(small_disk, "strata", TABLE)
    large = pa.concat_tables([TABLE] * 50_000)
    large = changed(large, "loss", pa.array([float(i) ** 0.5 for i in range(len(large))]))
    with pytest.raises(OSError, match="No space left"):
        write_measured(small_disk, "strata", large)
    found = read_measured(small_disk, "strata")
    assert found is not None
    assert found.equals(TABLE)


def test_a_sweeps_measures_come_with_the_columns_of_their_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = sweep(seeds=2)
    runs = runs.assign(run_id=[f"{i:04d}" for i in range(len(runs))], rho_asked=runs["rho"])
    runs = runs.assign(steps=300)
    write_runs(tmp_path, "demo", runs)
    assert not has_measure("demo", tmp_path, "strata")
    with pytest.raises(UserError, match="found none; make strata SCALE=demo measures them"):
        read_measures("demo", tmp_path, "strata")
    for number in (3, 5):
        write_measured(tmp_path / "demo" / "runs" / f"{number:04d}", "strata", TABLE)
    assert has_measure("demo", tmp_path, "strata")
    found = read_measures("demo", tmp_path, "strata")
    assert list(found) == [*RUN_COLUMNS, *TABLE.column_names]
    assert sorted(set(found["run_id"])) == ["0003", "0005"]
    of = runs.set_index("run_id")
    assert found["rho"].tolist() == [of.loc[run, "rho"] for run in found["run_id"]]
    # A run that an older version measured is not mixed in; one of a newer version is named.
    monkeypatch.setitem(MEASURED, "strata", Columns(TABLE.schema, version=2))
    write_measured(tmp_path / "demo" / "runs" / "0005", "strata", TABLE)
    assert set(read_measures("demo", tmp_path, "strata")["run_id"]) == {"0005"}
    monkeypatch.undo()
    with pytest.raises(UserError, match=r"0005/strata.parquet: version: expected 1 or an older"):
        read_measures("demo", tmp_path, "strata")
