"""Many records as one table, and its copy: always what the records say."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from engram_sweep.errors import UserError
from engram_sweep.runs import record_cache
from engram_sweep.runs.record_cache import COPY, FOLDER, MIN_NEW, collect
from engram_sweep.runs.records import FILE_NAME, read_runs, runs_folder, write_record
from tests.runs.test_records import values

MANY = MIN_NEW + 10


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    folder = runs_folder(tmp_path, "s")
    for seed in range(MANY):
        write(folder, seed)
    return folder


def write(runs: Path, seed: int, **changes: object) -> Path:
    folder = runs / f"{seed:032x}"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / FILE_NAME).unlink(missing_ok=True)
    write_record(folder / FILE_NAME, values(run_id=folder.name, seed=seed, **changes))
    return folder / FILE_NAME


def test_the_copy_answers_for_records_that_did_not_change(
    runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    read = record_cache.read_record
    monkeypatch.setattr(
        record_cache,
        "read_record",
        lambda path, columns: opened.append(path.parent.name) or read(path, columns),
    )
    first, _ = collect(runs, FILE_NAME)
    assert len(opened) == first.num_rows == MANY
    opened.clear()
    again, _ = collect(runs, FILE_NAME)
    assert opened == []
    assert again.sort_by(FOLDER).equals(first.sort_by(FOLDER))
    changed = write(runs, 3, validation_loss=9.0)
    write(runs, MANY)
    (runs / f"{5:032x}" / FILE_NAME).unlink()
    later, _ = collect(runs, FILE_NAME, ["seed", "validation_loss"])
    assert sorted(opened) == [changed.parent.name, f"{MANY:032x}"]
    seeds = dict(zip(later["seed"].to_pylist(), later["validation_loss"].to_pylist(), strict=True))
    assert sorted(seeds) == sorted({*range(MANY + 1)} - {5})
    assert seeds[3] == 9.0


def test_a_damaged_copy_is_no_copy(runs: Path) -> None:
    first, _ = collect(runs, FILE_NAME)
    copy = runs.with_name(COPY)
    copy.write_bytes(copy.read_bytes()[: copy.stat().st_size // 2])
    assert collect(runs, FILE_NAME)[0].sort_by(FOLDER).equals(first.sort_by(FOLDER))


def test_a_record_that_is_torn_after_the_copy_is_seen(runs: Path, tmp_path: Path) -> None:
    assert len(read_runs("s", tmp_path)) == MANY
    record = runs / f"{2:032x}" / FILE_NAME
    before = record.stat()
    record.write_bytes(record.read_bytes()[:-9])
    os.utime(record, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert collect(runs, FILE_NAME)[1] == [record.parent.name]
    with pytest.raises(UserError, match="expected a readable parquet file"):
        read_runs("s", tmp_path)


def test_few_records_leave_no_copy(tmp_path: Path) -> None:
    runs = runs_folder(tmp_path, "s")
    for seed in range(3):
        write(runs, seed)
    assert len(read_runs("s", tmp_path)) == 3
    assert not runs.with_name(COPY).exists()
