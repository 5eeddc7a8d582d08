"""The lock of a sweep's drivers, between real processes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from engram_sweep.launch.driver_lock import last_cancel, mark_cancelled, turn

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


def test_a_cancellation_changes_what_a_driver_reads(tmp_path: Path) -> None:
    assert last_cancel(tmp_path) is None
    mark_cancelled(tmp_path)
    first = last_cancel(tmp_path)
    mark_cancelled(tmp_path)
    assert first is not None
    assert last_cancel(tmp_path) != first
