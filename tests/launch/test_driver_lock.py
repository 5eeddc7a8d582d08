"""The lock of a sweep's drivers, between real processes, and a driver that has lost it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from engram_sweep.atomic_files import write_json
from engram_sweep.launch.driver import Driver
from engram_sweep.launch.driver_lock import (
    CANCEL_FILE,
    CancelMark,
    holder_of,
    mark_cancelled,
    turn,
)
from engram_sweep.launch.jobs import now
from engram_sweep.launch.status import RunStatus, Survey, folder_of
from engram_sweep.planning.plan import Plan, PlannedRun
from tests.launch.conftest import RETRIES, Pretended, folder_for

HOLD = """
import sys, time
from pathlib import Path
from engram_sweep.launch.driver_lock import turn
with turn(Path(sys.argv[1])) as mine:
    print(mine, flush=True)
    time.sleep(60)
"""


def test_one_driver_at_a_time_and_a_killed_one_lets_go(tmp_path: Path) -> None:
    words = [sys.executable, "-c", HOLD, str(tmp_path)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout
        assert other.stdout.readline() == "True\n"
        with turn(tmp_path) as mine:
            assert not mine
        other.kill()
    with turn(tmp_path, timeout=10) as mine:
        assert mine
    with turn(tmp_path) as mine:
        assert mine, "left behind by nobody"


def test_a_driver_s_turn_names_its_executor(tmp_path: Path) -> None:
    assert holder_of(tmp_path) == ""
    with turn(tmp_path, holder="slurm"):
        assert holder_of(tmp_path) == "slurm"


def test_a_cancellation_reaches_drivers_that_began_before_it(tmp_path: Path) -> None:
    """Also one whose command was given before, and which looks for the first time after."""
    before = now()
    running = CancelMark(tmp_path, before)
    assert not running.is_set()
    mark_cancelled(tmp_path)
    assert running.is_set()
    assert CancelMark(tmp_path, before).is_set()
    assert not CancelMark(tmp_path, now()).is_set(), "a later sweep goes on"


def test_a_mark_from_the_future_stops_no_driver(tmp_path: Path) -> None:
    write_json(tmp_path / CANCEL_FILE, {"at": "2999-01-01T00:00:00+00:00"})
    later = CancelMark(tmp_path, now())
    assert not later.is_set()
    mark_cancelled(tmp_path)
    assert later.is_set()


def test_when_a_process_was_started() -> None:
    code = "from engram_sweep.launch.driver_lock import process_started as p; print(p())"
    before = datetime.now(UTC)
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout
    # Boot time and ticks are rounded to hundredths of a second.
    tick = timedelta(seconds=0.05)
    assert before - tick <= datetime.fromisoformat(said.strip()) <= datetime.now(UTC)


def test_results_deleted_in_a_turn_end_the_sweep(
    one_run: Plan, tmp_path: Path, pretended: Pretended
) -> None:
    """Deleted between a look and what follows it: no run is laid out and submitted anew."""
    home = folder_for(one_run, tmp_path).path.parent.parent

    class Deleted(Survey):
        def poll(self, settle: bool = False) -> list[RunStatus]:
            found = super().poll(settle)
            if pretended.folders:
                shutil.rmtree(home, ignore_errors=True)
            return found

    laid_out: list[str] = []

    def lay_out(run: PlannedRun) -> None:
        laid_out.append(run.run_id)
        folder_of(run, tmp_path).path.mkdir(parents=True, exist_ok=True)

    with pytest.raises(FileNotFoundError, match="deleted in mid-sweep"):
        Driver(
            Deleted(one_run, tmp_path),
            pretended,
            parallel=1,
            retries=RETRIES,
            timeout_minutes=60,
            lay_out=lay_out,
        ).run()
    assert not home.exists()
    assert laid_out == [one_run.runs[0].run_id], "once, before it was deleted"


def test_a_folder_made_anew_by_a_late_worker_is_a_deleted_one(
    one_run: Plan, tmp_path: Path, pretended: Pretended
) -> None:
    folder = folder_for(one_run, tmp_path)

    def watch(statuses: list[RunStatus]) -> None:
        shutil.rmtree(tmp_path / one_run.scale.name)
        folder.path.mkdir(parents=True)

    with pytest.raises(FileNotFoundError):
        Driver(
            Survey(one_run, tmp_path), pretended, 1, RETRIES, timeout_minutes=60, watch=watch
        ).run()
    assert len(pretended.folders) == 1
