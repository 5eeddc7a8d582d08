"""X: nobody who may only write to the results folder runs code as the user, or writes elsewhere."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from engram_sweep.errors import UserError
from engram_sweep.launch import snapshot
from engram_sweep.launch.worker_command import worker_command
from engram_sweep.runs.provenance import code_state
from engram_sweep.runs.records import runs_folder
from tests.conftest import call, write_two_runs
from tests.faults.users import give_to_mallory


@pytest.fixture
def group_folder(tmp_path: Path) -> Path:
    """A results folder that a group shares."""
    results = tmp_path / "results"
    results.mkdir()
    results.chmod(0o2775)
    return results


@pytest.fixture
def marker(tmp_path: Path) -> Path:
    """What planted code would make."""
    return tmp_path / "planted-code-ran"


def planted_snapshot(code: Path, marker: Path) -> Path:
    """A true copy of the package, as a sweep makes it, and a file that python imports first."""
    made = snapshot.take(code, code_state())
    (made / "sitecustomize.py").write_text(f"open({str(marker)!r}, 'w')\n")
    return made


def refused(results: Path, sweeps: Path) -> str:
    """The one line with which a sweep refuses."""
    done = call("sweep", "smoke", "--sweeps", sweeps, "--results", results)
    assert done.returncode == 2, done.stdout + done.stderr
    assert len(done.stderr.splitlines()) == 1, done.stderr
    return done.stderr


def test_x1_the_folder_of_a_sweep_that_someone_else_made(
    group_folder: Path, marker: Path, tmp_path: Path
) -> None:
    home = group_folder / "smoke"
    home.mkdir()
    planted_snapshot(home / "code", marker)
    give_to_mallory(home)
    said = refused(group_folder, write_two_runs(tmp_path / "sweeps"))
    assert f"{home}: expected it to be " in said
    assert not marker.exists()


def test_x1_a_snapshot_with_a_foreign_file(
    group_folder: Path, marker: Path, tmp_path: Path
) -> None:
    (group_folder / "smoke").mkdir()
    made = planted_snapshot(group_folder / "smoke" / "code", marker)
    said = refused(group_folder, write_two_runs(tmp_path / "sweeps"))
    assert f"{made}: expected the code that was copied there, found sitecustomize.py" in said
    assert not marker.exists()


@pytest.mark.parametrize(
    "name", ["engram_sweep/__pycache__/worker.pyc", "numpy/__init__.py", "engram_sweep/new.py"]
)
def test_x1_whatever_python_could_import_counts(tmp_path: Path, name: str) -> None:
    state = code_state()
    made = snapshot.take(tmp_path / "code", state)
    (made / name).parent.mkdir(exist_ok=True)
    (made / name).write_text("")
    with pytest.raises(UserError, match="expected the code that was copied there"):
        snapshot.take(tmp_path / "code", state)


@pytest.mark.parametrize("name", [".", "code", "jobs", "runs/{run}"])
def test_x1_folders_that_others_may_write(
    group_folder: Path, tmp_path: Path, name: str, smoke_plan
) -> None:
    sweeps = write_two_runs(tmp_path / "sweeps")
    folder = group_folder / "smoke" / name.format(run=smoke_plan.runs[0].run_id)
    folder.mkdir(parents=True)
    folder.chmod(0o777)
    assert f"{folder.resolve()}: expected that nobody else may write to it" in refused(
        group_folder.resolve(), sweeps
    )


def test_x1_a_folder_put_in_place_of_the_sweep_s_while_a_job_waits(
    group_folder: Path, marker: Path
) -> None:
    """Who may write the folder around a sweep's can rename that one, at any time."""
    home = group_folder / "smoke"
    home.mkdir()
    code = snapshot.take(home / "code", code_state())
    words = worker_command(home / "runs" / "0", code)
    home.rename(group_folder / "moved")
    home.mkdir()
    planted_snapshot(home / "code", marker)
    (home / "code" / code.name / "engram_sweep" / "worker.py").write_text(
        f"open({str(marker)!r}, 'w')\n"
    )
    give_to_mallory(home)
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 1
    assert f"{home}: expected a folder of your own" in done.stderr
    assert not marker.exists()
    # A link to the true folder does not do either: it could lead elsewhere a moment later.
    shutil.rmtree(home)
    home.symlink_to(group_folder / "moved")
    assert subprocess.run(words, capture_output=True).returncode == 1


def test_x1_a_worker_loads_no_pickle(tmp_path: Path, marker: Path) -> None:
    """Everything that submitit pickled is replaced by code that would run on loading."""
    results, sweeps = tmp_path / "results", write_two_runs(tmp_path / "sweeps")
    swap = (
        "import pathlib, submitit\n"
        "true = submitit.core.utils.DelayedSubmission.dump\n"
        f"planted = b'cos\\nmkdir\\n(V{marker}\\ntR.'\n"
        "submitit.core.utils.DelayedSubmission.dump = (\n"
        "    lambda self, path: pathlib.Path(path).write_bytes(planted))\n"
    )
    (tmp_path / "swap").mkdir()
    (tmp_path / "swap" / "sitecustomize.py").write_text(swap)
    done = call(
        "sweep", "smoke", "--sweeps", sweeps, "--results", results,
        env={"PYTHONPATH": str(tmp_path / "swap")},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert list(results.rglob("*_submitted.pkl"))
    assert not marker.exists()


def test_x1_a_sweep_in_a_group_s_folder_under_a_group_s_umask(
    group_folder: Path, tmp_path: Path
) -> None:
    sweeps = write_two_runs(tmp_path / "sweeps")
    words = ("sweep", "smoke", "--sweeps", sweeps, "--results", group_folder)
    before = os.umask(0o002)
    try:
        assert call(*words).returncode == 0
        again = call(*words)
    finally:
        os.umask(before)
    assert "nothing to do" in again.stdout, again.stderr
    for path in (group_folder / "smoke", *(group_folder / "smoke").rglob("*")):
        assert path.is_symlink() or not path.stat().st_mode & 0o022, path


@pytest.mark.parametrize("owner", ["mine", "theirs"])
@pytest.mark.parametrize("name", ["cancel", "sweep"])
def test_x1_a_link_in_place_of_a_lock_empties_no_file(
    tmp_path: Path, name: str, owner: str
) -> None:
    """Who makes `results/smoke` in a group's folder chooses what lies there."""
    results, victim = tmp_path / "results", tmp_path / "thesis.tex"
    victim.write_text("precious")
    (results / "smoke").mkdir(parents=True, mode=0o755)
    (results / "smoke" / "driver.lock").symlink_to(victim)
    if owner == "theirs":
        give_to_mallory(results / "smoke")
    words = ("--sweeps", write_two_runs(tmp_path / "sweeps"), "--results", results)
    done = call(name, "smoke", *words)
    assert done.returncode == 2, done.stdout
    assert len(done.stderr.splitlines()) == 1
    assert ("expected a plain file" if owner == "mine" else "expected it to be") in done.stderr
    assert victim.read_text() == "precious"


def test_x2_an_option_in_place_of_a_job_id(tmp_path: Path) -> None:
    """The note of a run is no command line: scancel would stop the jobs of others."""
    clients = tmp_path / "bin"
    clients.mkdir()
    log = tmp_path / "asked"
    for name in ("scancel", "squeue", "sbatch", "scontrol"):
        (clients / name).write_text(f'#!/bin/sh\necho {name} "$@" >> {log}\n')
        (clients / name).chmod(0o755)
    folder = runs_folder(tmp_path / "results", "smoke") / "0"
    folder.mkdir(parents=True)
    note = {"executor": "slurm", "id": "--user=root", "submitted_at": "2099-01-01T00:00:00+00:00"}
    (folder / "job.json").write_text(json.dumps(note))
    path = {"PATH": f"{clients}:{os.environ['PATH']}"}
    call("cancel", "smoke", "--results", tmp_path / "results", env=path)
    assert "scancel" not in (log.read_text() if log.exists() else "")


ESCAPES = "\x1b]52;c;cm0=\x07\x1b[2J\x9b31m\r\x7f\u202e"
UNSEEN = set("\x1b\x07\x9b\r\x7f\u202e")


def test_x3_no_control_character_reaches_the_terminal(tmp_path: Path, smoke_plan) -> None:
    """From the message, the log lines and the kind of a failure."""
    folder = runs_folder(tmp_path, "smoke") / smoke_plan.runs[0].run_id
    (folder / "job").mkdir(parents=True)
    failure = {
        "kind": "bug" + ESCAPES,
        "message": "first\nsecond" + ESCAPES,
        "log": ["last " + ESCAPES, "lone \ud800"],
        "at": "2026-01-01T00:00:00+00:00",
    }
    (folder / "failure.json").write_text(json.dumps(failure))
    for words in (("status", "smoke"), ("status", "smoke", "--json")):
        done = call(*words, "--results", tmp_path)
        assert done.returncode == 0, done.stderr
        assert not set(done.stdout) & UNSEEN, ascii(done.stdout)
    wide = call("status", "smoke", "--results", tmp_path, env={"COLUMNS": "250"})
    assert "first\\nsecond\\x1b]52" in wide.stdout


def test_x3_an_error_is_one_line_whatever_is_in_a_name(tmp_path: Path) -> None:
    done = call("report", "smoke", "--results", tmp_path / f"a\n{ESCAPES}b")
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert not set(done.stderr.rstrip("\n")) & UNSEEN


@pytest.mark.parametrize("command", ["report", "fit", "export"])
@pytest.mark.parametrize("name", ["../out", "..", ".", "a/b", "/etc", ""])
def test_x4_a_path_in_place_of_a_name(tmp_path: Path, command: str, name: str) -> None:
    words = (command, name, *([tmp_path / "out.parquet"] if command == "export" else []))
    done = call(*words, "--results", tmp_path / "results")
    assert done.returncode == 2
    assert "expected the name of a sweep" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not list(tmp_path.iterdir())
