from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from engram_sweep import worker
from engram_sweep.atomic_files import write_json
from engram_sweep.launch.status import folder_of, sweep_status
from engram_sweep.planning.plan import Plan
from engram_sweep.runs.folder import Busy, RunFolder


def test_a_held_run_is_left_to_its_holder(one_run: Plan, tmp_path: Path) -> None:
    folder = folder_of(one_run.runs[0], tmp_path)
    folder.path.mkdir(parents=True)
    with folder.held():
        assert sweep_status(one_run, tmp_path)[0].state == "running"
        with pytest.raises(Busy), RunFolder(folder.path).held(patience=0.1):
            pass
        worker.run(str(folder.path))
        assert folder.failure() is None
    assert sweep_status(one_run, tmp_path)[0].state == "planned"


@pytest.fixture
def here(tmp_path: Path) -> RunFolder:
    return RunFolder(tmp_path)


def begun(here: RunFolder, ago: float, **changes: object) -> None:
    """An attempt that began so long ago."""
    started = datetime.now(UTC) - timedelta(seconds=ago)
    attempt = {"started_at": started.isoformat(), "host": "", "seconds": None, "ended": None}
    write_json(here.path / "attempts.json", [attempt | changes])


def test_an_attempt_that_was_killed_ends_with_its_last_progress(here: RunFolder) -> None:
    begun(here, 100)
    here.write_progress({"step": 3, "seconds": 90.0})
    here.start_attempt()
    killed, second = here.attempts()
    assert killed["ended"] == "node"
    assert killed["seconds"] == 90
    assert second["ended"] is None
    assert here.progress() == {}


@pytest.mark.parametrize("began", [100, -1e8], ids=["long ago", "in the future"])
def test_w4_times_from_the_future_do_not_enter_sums(here: RunFolder, began: float) -> None:
    """A clock that jumped, or a copied tree: an attempt took no longer than has passed since."""
    begun(here, began)
    here.write_progress({"step": 3, "seconds": 4e8})
    os.utime(here.path / "progress.json", (2**31, 2**31))
    here.start_attempt()
    assert here.attempts()[0]["seconds"] == pytest.approx(max(0, began), abs=5)
    begun(here, began, seconds=4e8, ended="preempted")
    here.start_attempt()
    assert here.attempts()[0]["seconds"] == pytest.approx(max(0, began), abs=5)


def test_a_new_attempt_forgets_the_failure_of_the_last(here: RunFolder) -> None:
    begun(here, 10)
    here.write_failure("bug", "what")
    here.end_attempt("bug", 1.5, 7)
    assert here.failure() is not None
    here.start_attempt()
    assert here.failure() is None
    first, _ = here.attempts()
    assert (first["ended"], first["seconds"], first.get("step")) == ("bug", 1.5, 7)


def test_the_newest_checkpoint_is_known_by_its_name(here: RunFolder) -> None:
    assert here.checkpoint_step() == 0
    here.checkpoints.mkdir()
    for name in ("step-00000009-a.pt", "step-00000010-b.pt", "step-x-c.pt", "other.pt"):
        (here.checkpoints / name).touch()
    assert here.checkpoint_step() == 10


def test_the_last_lines_are_those_of_the_newest_log(here: RunFolder) -> None:
    assert here.last_lines() == []
    logs = here.path / "job"
    logs.mkdir()
    (logs / "1_0_log.err").write_text("old\n")
    os.utime(logs / "1_0_log.err", (0, 0))
    (logs / "2_0_log.err").write_bytes(b"\xff" * 20_000 + b"\n1\n2\n3\n")
    (logs / "3_0_log.err").symlink_to(here.path / "nowhere")
    assert here.last_lines(3) == ["1", "2", "3"]


def test_progress_that_cannot_be_written_is_lost_without_an_error(tmp_path: Path) -> None:
    RunFolder(tmp_path / "nowhere").write_progress({"step": 1})


@pytest.mark.parametrize(
    "at", ["0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", "2026-01-01T00:00:00"]
)
def test_an_attempt_at_no_time_in_utc_is_none(here: RunFolder, at: str) -> None:
    """The record of the run would have to name it, after all of its training."""
    attempt = {"started_at": at, "host": "", "seconds": 1.0, "ended": "node"}
    write_json(here.path / "attempts.json", [attempt])
    assert here.attempts() == []
    here.start_attempt()
    assert len(here.attempts()) == 1


def test_a_checkpoint_s_step_is_in_digits_that_int_reads(here: RunFolder) -> None:
    for name in ("step-²-x.pt", "step-٣-x.pt", "step-00000007-x.pt"):
        (here.checkpoints / name).parent.mkdir(exist_ok=True)
        (here.checkpoints / name).touch()
    assert here.checkpoint_step() == 7
