"""How a worker starts; that planted code does not run is in tests/faults/test_security.py."""

from __future__ import annotations

import os
import shlex
import subprocess
from pathlib import Path

import pytest

from engram_sweep.launch.worker_command import (
    array_command,
    run_folder_of,
    runs_line,
    worker_command,
)


@pytest.fixture
def code(tmp_path: Path) -> Path:
    """A snapshot whose worker says which run it was given, and where the code lies."""
    package = tmp_path / "a b's" / "code" / "digest" / "engram_sweep"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "worker.py").write_text("def run(folder):\n    print(folder, __file__)\n")
    return package.parent


def test_a_worker_gets_its_run_folder_and_imports_the_snapshot(code: Path) -> None:
    home = code.parent.parent
    words = worker_command(home / "runs" / "7", code)
    done = subprocess.run(words, capture_output=True, text=True, check=True, cwd="/")
    folder, _, file = done.stdout.strip().rpartition(" ")
    assert folder == str(home / "runs" / "7")
    assert file.startswith("/proc/self/fd/")
    assert file.endswith("/code/digest/engram_sweep/worker.py")
    assert not list(code.rglob("__pycache__")), "a snapshot stays what it is"


def test_an_array_s_task_gets_its_own_run(code: Path) -> None:
    line = array_command("python3", code.parent.parent, code)
    script = runs_line(["first", "second's"]) + "\n" + line
    for task, run in (("1", "second's"), ("0", "first"), (None, "first")):
        variables = {**os.environ, **({"SLURM_ARRAY_TASK_ID": task} if task else {})}
        words = ["bash", "-c", script]
        done = subprocess.run(words, env=variables, capture_output=True, text=True, check=True)
        assert f"runs/{run} " in done.stdout


def test_a_worker_is_known_by_its_command_line(code: Path) -> None:
    folder = code.parent.parent / "runs" / "7"
    assert run_folder_of(worker_command(folder, None)) == folder
    assert run_folder_of(["srun", *shlex.split("python -c pass a b c")]) is None
    assert run_folder_of(worker_command(folder, None)[:-1]) is None
