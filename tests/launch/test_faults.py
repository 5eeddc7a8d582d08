"""Real processes, really killed.

Whatever happens, the table ends bit-equal to that of an undisturbed sweep.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from engram_sweep.launch.driver_lock import turn
from engram_sweep.runs.folder import RunFolder
from engram_sweep.runs.records import FILE_NAME, runs_folder
from tests.conftest import ROOT, call, command, longer_sweep, mounted, write_two_runs
from tests.waiting import wait_for


def measured(results: Path) -> list[str]:
    """What every run measured, without its times, digit by digit."""
    columns = ["run_id", "validation_loss", "window_losses", "train_loss", "expert_load", "steps"]
    tables = [
        pq.read_table(path, columns=columns)
        for path in runs_folder(results, "smoke").glob(f"*/{FILE_NAME}")
    ]
    return sorted(repr(table.to_pylist()) for table in tables)


def driver(results: Path, *options: str | Path) -> subprocess.Popen[str]:
    """A sweep in a session of its own, as if from a terminal."""
    words = command("sweep", "smoke", "--results", results, *options)
    pipe = subprocess.PIPE
    return subprocess.Popen(
        words, cwd=ROOT, stdout=pipe, stderr=pipe, text=True, start_new_session=True
    )


def workers(results: Path) -> list[int]:
    """Process ids of the workers of a results folder, found as an operator would.

    In the process table.
    """
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                line = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if b"engram_sweep.worker" in line and str(results).encode() in line:
                found.append(int(entry.name))
    return found


def held(results: Path) -> list[Path]:
    return [path for path in runs_folder(results, "smoke").glob("*") if RunFolder(path).is_held()]


@pytest.fixture
def two_runs(tmp_path: Path) -> Path:
    """A folder of scales whose smoke sweep has two of the real one's six runs.

    Enough where each is tried thrice.
    """
    return write_two_runs(tmp_path / "sweeps")


def test_kills_of_workers_and_driver_and_two_drivers(smoke_results: Path, tmp_path: Path) -> None:
    results = tmp_path / "results"
    seen: dict[Path, set[int]] = {}

    def look() -> None:
        """Every record that ever appears must stay the very file it was.

        No run is trained twice.
        """
        for record in runs_folder(results, "smoke").glob(f"*/{FILE_NAME}"):
            seen.setdefault(record, set()).add(record.stat().st_ino)

    first = driver(results)
    wait_for(lambda: workers(results) and held(results))
    os.kill(workers(results)[0], signal.SIGKILL)
    wait_for(lambda: list(runs_folder(results, "smoke").glob(f"*/{FILE_NAME}")))
    look()
    wait_for(lambda: held(results))
    first.kill()
    first.communicate()
    assert first.returncode == -signal.SIGKILL

    both = [driver(results), driver(results)]
    while any(process.poll() is None for process in both):
        look()
        time.sleep(0.05)
    outputs = [process.communicate() for process in both]
    assert [process.returncode for process in both] == [0, 0], outputs
    look()
    assert len(seen) == 6
    assert all(len(inodes) == 1 for inodes in seen.values())
    assert measured(results) == measured(smoke_results)
    assert not list(results.rglob(".record*"))


def test_ctrl_c_stops_workers_and_the_next_sweep_goes_on(tmp_path: Path) -> None:
    results = tmp_path / "results"
    process = driver(results)
    wait_for(lambda: held(results))
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 130, (out, err)
    assert "the same command goes on from here" in err
    assert "Traceback" not in err
    wait_for(lambda: not workers(results), 120)
    left = json.loads(call("status", "smoke", "--results", results, "--json").stdout)["counts"]
    assert left["failed"] == left["running"] == 0


def test_cancel_stops_the_jobs_of_this_sweep_and_its_driver(tmp_path: Path) -> None:
    """From another terminal; a worker whose parent was killed is a job of the sweep too."""
    results, sweeps = tmp_path / "results", longer_sweep(tmp_path / "sweeps")
    words = ("smoke", "--sweeps", sweeps, "--results", results)
    with driver(results, "--sweeps", sweeps) as process:
        wait_for(lambda: held(results))
        cancelled = call("cancel", *words)
        assert (cancelled.returncode, cancelled.stdout) == (0, "smoke: 1 jobs stopped\n"), cancelled
        assert not workers(results)
        out, err = process.communicate(timeout=120)
    assert process.returncode == 130, (out, err)
    assert json.loads(call("status", *words, "--json").stdout)["counts"]["running"] == 0
    assert call("cancel", *words).stdout == "smoke: 0 jobs stopped\n"
    assert call("cancel", "nonsense", "--results", results).returncode == 2


def test_cancel_counts_the_jobs_that_their_driver_stopped_before_it_could(tmp_path: Path) -> None:
    results, sweeps = tmp_path / "results", longer_sweep(tmp_path / "sweeps")
    words = command("cancel", "smoke", "--sweeps", sweeps, "--results", results)
    with driver(results, "--sweeps", sweeps) as process:
        wait_for(lambda: held(results))
        with turn(results / "smoke", 60) as ours:
            cancelling = subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, text=True)
            process.communicate(timeout=120)
            left = workers(results)
        said, _ = cancelling.communicate(timeout=120)
    assert ours
    assert process.returncode == 130
    assert left == []
    assert said == "smoke: 1 jobs stopped\n"


def test_rerun_failed_trains_the_failed_run_and_no_other(two_runs: Path, tmp_path: Path) -> None:
    results, words = tmp_path / "results", ("smoke", "--sweeps", two_runs, "--results")
    planned = [
        run["run_id"] for run in json.loads(call("plan", *words, results, "--json").stdout)["runs"]
    ]
    assert call("rerun-failed", *words, results).stdout == "smoke: no failed runs\n"
    broken = RunFolder(runs_folder(results, "smoke") / planned[0])
    broken.path.mkdir(parents=True)
    broken.write_failure("bug", "of yesterday")
    done = call("rerun-failed", *words, results)
    assert done.returncode == 0, done.stderr
    runs = json.loads(call("status", *words, results, "--json").stdout)["runs"]
    assert {run["run_id"]: run["state"] for run in runs} == {
        planned[0]: "done",
        planned[1]: "planned",
    }


def test_a_worker_that_always_dies_is_a_failed_run_with_its_last_words(
    two_runs: Path, tmp_path: Path
) -> None:
    """The worker is killed from inside, at import of torch, every time.

    The sweep ends, exit code 1, reason told.
    """
    poison = tmp_path / "poison"
    (poison / "torch").mkdir(parents=True)
    last = "print('last words', file=sys.stderr, flush=True)"
    (poison / "torch" / "__init__.py").write_text(
        f"import os, sys; {last}; os.kill(os.getpid(), 9)"
    )
    results = tmp_path / "results"
    words = ("smoke", "--sweeps", two_runs, "--results", results)
    done = call("sweep", *words, env={"PYTHONPATH": str(poison)})
    assert done.returncode == 1, done.stderr
    assert "2 failed of 2 runs" in done.stdout
    runs = json.loads(call("status", *words, "--json").stdout)["runs"]
    assert {run["failure"]["kind"] for run in runs} == {"node"}
    assert all("last words" in run["failure"]["log"][-1] for run in runs)


@pytest.mark.parametrize("obstacle", ["a file", "a read-only disk"])
def test_a_results_folder_that_cannot_be_written(tmp_path: Path, obstacle: str) -> None:
    results = tmp_path / "results"
    with contextlib.ExitStack() as stack:
        if obstacle == "a file":
            results.write_text("in the way")
        else:
            stack.enter_context(mounted(results, "ro,size=64k"))
        done = call("sweep", "smoke", "--results", results)
    assert done.returncode == 2
    assert "expected a results folder with room to write" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_disk_that_fills_up_loses_nothing_that_was_finished(
    two_runs: Path, smoke_results: Path, tmp_path: Path
) -> None:
    """The shards fit, the runs do not.

    The sweep ends in one line, and goes on when there is room.
    """
    results = tmp_path / "results"
    shards = sum(path.stat().st_size for path in (smoke_results / "corpora").rglob("*.*"))
    with mounted(results, f"size={shards // 1024 + 64}k"):
        stopped = call("sweep", "smoke", "--sweeps", two_runs, "--results", results)
        assert stopped.returncode in (1, 2)
        assert "Traceback" not in stopped.stderr
        assert "No space left" in stopped.stdout + stopped.stderr
        before = measured(results)
        subprocess.run(["mount", "-o", "remount,size=64m", results], check=True)
        done = call("sweep", "smoke", "--sweeps", two_runs, "--results", results)
        assert done.returncode == 0, done.stderr
        assert len(measured(results)) == 2
        assert set(before) <= set(measured(results)) <= set(measured(smoke_results))
