"""The lock of a sweep's drivers, between real processes."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

from engram_sweep.atomic_files import write_json
from engram_sweep.launch.driver_lock import (
    CANCEL_FILE,
    CancelMark,
    holder_of,
    mark_cancelled,
    turn,
)
from engram_sweep.launch.jobs import now

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
