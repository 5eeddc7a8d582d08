from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from engram_sweep.errors import UserError
from engram_sweep.runs.measures import (
    RUN_COLUMNS,
    has_measure,
    measured_file,
    read_measured,
    read_measures,
    write_measured,
)
from tests.analysis.tables import sweep, write_runs

TABLE = pa.table({"order": [2, 3], "loss": [0.5, 0.25]})


def test_what_is_written_reads_back_for_its_run_and_version_only(tmp_path: Path) -> None:
    folder, other = tmp_path / "one", tmp_path / "other"
    folder.mkdir()
    write_measured(folder, "strata", 2, TABLE)
    for version in (2, None):
        found = read_measured(folder, "strata", version)
        assert found is not None
        assert found.equals(TABLE)
    assert read_measured(folder, "strata", 1) is None
    assert read_measured(folder, "gates", 2) is None
    folder.rename(other)
    assert read_measured(other, "strata", 2) is None


def test_a_halved_file_is_no_measure(tmp_path: Path) -> None:
    write_measured(tmp_path, "strata", 1, TABLE)
    path = measured_file(tmp_path, "strata")
    path.write_bytes(path.read_bytes()[:-20])
    assert read_measured(tmp_path, "strata", 1) is None


def test_a_full_disk_leaves_the_older_file(small_disk: Path) -> None:
    write_measured(small_disk, "strata", 1, TABLE)
    large = pa.table({"loss": pa.array([float(i) ** 0.5 for i in range(100_000)])})
    with pytest.raises(OSError, match="No space left"):
        write_measured(small_disk, "strata", 1, large)
    found = read_measured(small_disk, "strata", 1)
    assert found is not None
    assert found.equals(TABLE)


def test_a_sweeps_measures_come_with_the_columns_of_their_runs(tmp_path: Path) -> None:
    runs = sweep(seeds=2)
    runs = runs.assign(run_id=[f"{i:04d}" for i in range(len(runs))], rho_asked=runs["rho"])
    runs = runs.assign(steps=300)
    write_runs(tmp_path, "demo", runs)
    assert not has_measure("demo", tmp_path, "strata")
    with pytest.raises(UserError, match="found none; make strata SCALE=demo measures them"):
        read_measures("demo", tmp_path, "strata")
    for number in (3, 5):
        write_measured(tmp_path / "demo" / "runs" / f"{number:04d}", "strata", 1, TABLE)
    assert has_measure("demo", tmp_path, "strata")
    found = read_measures("demo", tmp_path, "strata")
    assert list(found) == [*RUN_COLUMNS, "order", "loss"]
    assert sorted(set(found["run_id"])) == ["0003", "0005"]
    # A run that another version measured is not mixed in.
    write_measured(tmp_path / "demo" / "runs" / "0005", "strata", 2, TABLE)
    assert set(read_measures("demo", tmp_path, "strata")["run_id"]) == {"0005"}
    of = runs.set_index("run_id")
    assert found["rho"].tolist() == [of.loc[run, "rho"] for run in found["run_id"]]
