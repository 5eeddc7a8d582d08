from __future__ import annotations

import math
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from engram_sweep.errors import UserError
from engram_sweep.runs.record_schema import ALWAYS
from engram_sweep.runs.records import (
    FILE_NAME,
    SCHEMA,
    SCHEMA_VERSION,
    export_runs,
    is_done,
    read_parquet,
    read_runs,
    runs_folder,
    write_members,
    write_record,
)
from tests.conftest import ROOT


def values(**changes: Any) -> dict[str, Any]:
    """A whole record, invented."""
    now = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    record = {
        "run_id": "ab" * 16,
        "scale": "s",
        "arm": "engram",
        "rho_asked": 0.5,
        "rows_per_head_asked": None,
        "rho": 0.5,
        "seed": 0,
        "outcome": "ok",
        "validation_loss": 1.25,
        "window_losses": [1.0, 1.5],
        "window_tokens": [8, 8],
        "train_loss": 1.0,
        "steps": 2,
        "curve_steps": [1, 2],
        "curve_losses": [2.0, 1.0],
        "tokens": 16,
        "params_total": 10,
        "params_active": 5,
        "params_table": 2,
        "flops_per_token": 30,
        "routed_experts": 4,
        "expert_load": [[0.5, 0.5]],
        "dead_experts": 0,
        "table_rows": [[8, 8]],
        "rows_touched": [[5, 8]],
        "gate_mean": [0.5],
        "tokens_per_second": 1.0,
        "restarts": 0,
        "wall_seconds": 1.0,
        "gpu_hours": 0.0,
        "world_size": 1,
        "corpus_fingerprint": "f",
        "tokenizer_fingerprint": "t",
        "git_commit": None,
        "git_diff": None,
        "driver": None,
        "versions": {"python": "3"},
        "host": "h",
        "device": "d",
        "started_at": now,
        "finished_at": now,
        "spec": "{}",
    }
    return record | changes


def test_what_is_written_is_read(tmp_path: Path) -> None:
    folder = runs_folder(tmp_path, "s") / ("ab" * 16)
    folder.mkdir(parents=True)
    assert not is_done(folder, "ab" * 16)
    write_record(folder / FILE_NAME, values(validation_loss=math.nan, outcome="diverged"))
    assert is_done(folder, "ab" * 16)
    assert not is_done(folder, "cd" * 16), "a record of another run does not make this one done"
    frame = read_runs("s", tmp_path)
    assert list(frame.columns) == SCHEMA.names
    assert math.isnan(frame.validation_loss[0])
    assert list(frame.window_losses[0]) == [1.0, 1.5]
    assert all(field.metadata[b"unit"] for field in pq.read_schema(folder / FILE_NAME))


@pytest.mark.parametrize(
    "bad",
    [
        {"seed": "one"},
        {"nonsense": 1},
        {"validation_loss": None},
        {"window_losses": 3.0},
        {"run_id": None},
    ],
)
def test_a_record_that_does_not_fit_writes_nothing(tmp_path: Path, bad: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="schema"):
        write_record(tmp_path / FILE_NAME, values(**bad))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("keep", [0, 4, 100, -1])
def test_a_torn_record_is_not_done(tmp_path: Path, keep: int) -> None:
    path = tmp_path / FILE_NAME
    write_record(path, values())
    path.write_bytes(path.read_bytes()[:keep])
    assert not is_done(tmp_path, "ab" * 16)
    with pytest.raises(UserError, match="expected a readable parquet file"):
        read_parquet(path)


def test_a_full_disk_loses_nothing(small_disk: Path) -> None:
    path = small_disk / FILE_NAME
    write_record(path, values())
    (small_disk / "filler").write_bytes(b"x" * (1 << 15))
    with pytest.raises(OSError, match="No space left"):
        write_record(
            path,
            values(window_losses=[float(i) for i in range(20_000)], window_tokens=[1] * 20_000),
        )
    assert is_done(small_disk, "ab" * 16), "the first record is whole"
    assert sorted(p.name for p in small_disk.iterdir()) == ["filler", FILE_NAME]


def test_a_foreign_table_is_one_line(tmp_path: Path) -> None:
    pq.write_table(pa.table({"x": [1]}), tmp_path / "foreign.parquet")
    with pytest.raises(UserError, match="rho, seed and validation_loss") as caught:
        read_parquet(tmp_path / "foreign.parquet")
    assert "\n" not in str(caught.value)
    with pytest.raises(
        UserError, match=r"no sweep named 'nothing' in .*; nothing was trained there"
    ):
        read_runs("nothing", tmp_path)


def finished(results: Path, *run_ids: str) -> None:
    for run_id in run_ids:
        folder = runs_folder(results, "s") / run_id
        folder.mkdir(parents=True)
        write_record(folder / FILE_NAME, values(run_id=run_id))


def test_a_sweep_almost_named_is_suggested(tmp_path: Path) -> None:
    finished(tmp_path, "a")
    write_members("s", ["a"], tmp_path)
    (tmp_path / "s").rename(tmp_path / "tiny")
    with pytest.raises(UserError, match=r"'tniy' .*\(did you mean tiny\?\); trained there: tiny"):
        read_runs("tniy", tmp_path)


def test_each_set_of_changes_has_members_of_its_own(tmp_path: Path) -> None:
    finished(tmp_path, "a", "b", "c")
    changes = ("training.tokens=7",)
    assert len(read_runs("s", tmp_path)) == 3, "nothing is known of members"
    write_members("s", ["b", "c"], tmp_path, changes)
    assert read_runs("s", tmp_path, changes).run_id.tolist() == ["b", "c"]
    with pytest.raises(UserError, match=r"with no --set, trained there: --set training\.tokens=7$"):
        read_runs("s", tmp_path)
    write_members("s", ["a"], tmp_path)
    assert read_runs("s", tmp_path).run_id.tolist() == ["a"]
    assert export_runs("s", tmp_path, tmp_path / "b.parquet", changes) == 2
    with pytest.raises(
        UserError, match=r"with --set x=1, trained there: --set training\.tokens=7$"
    ):
        read_runs("s", tmp_path, ("x=1",))


def test_the_record_of_another_run_is_refused(tmp_path: Path) -> None:
    """Not counted in place of the one that belongs there, whatever it measured."""
    path = runs_folder(tmp_path, "s") / ("cd" * 16) / FILE_NAME
    path.parent.mkdir(parents=True)
    write_record(path, values())
    for read in (
        lambda: read_runs("s", tmp_path),
        lambda: export_runs("s", tmp_path, tmp_path / "all.parquet"),
    ):
        with pytest.raises(UserError, match=rf"{path}: expected the record of run {'cd' * 16}"):
            read()
    assert not (tmp_path / "all.parquet").exists()


@pytest.mark.parametrize("content", ["", "{}", '{"runs": 3}', "[]", "\0"])
@pytest.mark.parametrize("changes", [(), ("training.tokens=7",)])
def test_a_damaged_note_of_the_members_is_refused(
    tmp_path: Path, content: str, changes: tuple[str, ...]
) -> None:
    """As if there were none, runs of other versions of the scale would count."""
    for name in ("ab" * 16, "cd" * 16):
        folder = runs_folder(tmp_path, "s") / name
        folder.mkdir(parents=True)
        write_record(folder / FILE_NAME, values(run_id=name))
    write_members("s", ["ab" * 16], tmp_path, changes)
    (note,) = (tmp_path / "s").glob("sweep*.json")
    note.write_text(content)
    with pytest.raises(UserError, match="expected a readable note of the sweep's runs"):
        read_runs("s", tmp_path, changes)
    if changes:
        with pytest.raises(UserError, match="expected a sweep with no --set"):
            read_runs("s", tmp_path)
    write_members("s", ["ab" * 16], tmp_path, changes)
    assert read_runs("s", tmp_path, changes).run_id.tolist() == ["ab" * 16]


@pytest.mark.parametrize("column", ALWAYS)
def test_a_record_without_what_every_version_has_is_none(tmp_path: Path, column: str) -> None:
    path = runs_folder(tmp_path, "s") / ("ab" * 16) / FILE_NAME
    path.parent.mkdir(parents=True)
    write_record(path, values())
    pq.write_table(pq.read_table(path).drop_columns([column]), path)
    with pytest.raises(UserError, match=rf"{path}: expected the (record of one run|columns rho)"):
        read_runs("s", tmp_path)
    assert not is_done(path.parent, "ab" * 16)


def test_columns_of_others_do_no_harm(tmp_path: Path) -> None:
    """Of types that differ from run to run, or named as those of the copy, or twice."""
    cells = {"1" * 32: pa.array([1]), "2" * 32: pa.array(["text"])}
    for name, cell in cells.items():
        path = runs_folder(tmp_path, "s") / name / FILE_NAME
        path.parent.mkdir(parents=True)
        write_record(path, values(run_id=name))
        pq.write_table(pq.read_table(path).append_column("note", cell), path)
    assert read_runs("s", tmp_path).run_id.tolist() == sorted(cells)
    path = runs_folder(tmp_path, "s") / ("1" * 32) / FILE_NAME
    table = pq.read_table(path)
    for name in ("_folder", "rho"):
        pq.write_table(table.append_column(name, table["rho"]), path)
        with pytest.raises(UserError, match=rf"{path}: expected "):
            read_runs("s", tmp_path)
        pq.write_table(table, path)


@pytest.mark.parametrize("version", range(1, SCHEMA_VERSION))
def test_records_of_every_version_stay_readable(tmp_path: Path, version: int) -> None:
    """The fixtures were written by the code of their version."""
    old = pq.read_table(ROOT / "tests" / "fixtures" / f"records-v{version}.parquet")
    for row in range(old.num_rows):
        run_id = old["run_id"][row].as_py()
        folder = runs_folder(tmp_path, "s") / run_id
        folder.mkdir(parents=True)
        pq.write_table(old.slice(row, 1), folder / FILE_NAME)
        assert is_done(folder, run_id)
    new = runs_folder(tmp_path, "s") / ("ab" * 16)
    new.mkdir()
    write_record(new / FILE_NAME, values())
    both = read_runs("s", tmp_path)
    assert sorted(both.schema_version) == [version] * old.num_rows + [SCHEMA_VERSION]
    assert both.validation_loss.notna().all()
    assert export_runs("s", tmp_path, tmp_path / "all.parquet") == old.num_rows + 1
    assert len(read_parquet(tmp_path / "all.parquet")) == old.num_rows + 1
