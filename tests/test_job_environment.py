"""What a worker knows of its job. Requeueing on a real SLURM is tested in tests/slurm."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from engram_sweep.job_environment import in_slurm, place_of, rank_of, requeue
from engram_sweep.planning.plan import Plan
from engram_sweep.training.layout import Place
from tests.examples import work_order


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A job of ours whose SLURM clients are scripts; the file lists what they were asked."""
    monkeypatch.setenv("SUBMITIT_EXECUTOR", "slurm")
    monkeypatch.setenv("SLURM_JOB_ID", "17")
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    return tmp_path / "asked"


def script(folder: Path, name: str, lines: str) -> None:
    path = folder / name
    path.write_text(f'#!/bin/sh\necho "{name} $*" >> {folder}/asked\n{lines}\n')
    path.chmod(0o755)


def test_a_run_of_one_process_is_alone(one_run: Plan, tmp_path: Path) -> None:
    order = work_order(one_run.runs[0], tmp_path)
    assert rank_of(order) == 0
    assert place_of(order) == Place()


def test_outside_slurm_nothing_is_requeued(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SUBMITIT_EXECUTOR", raising=False)
    assert not in_slurm()
    assert not requeue()


def test_a_running_job_is_requeued_by_its_id(asked: Path, tmp_path: Path) -> None:
    script(tmp_path, "squeue", "echo RUNNING")
    script(tmp_path, "scontrol", "exit 0")
    assert requeue()
    assert asked.read_text().splitlines()[-1] == "scontrol requeue 17"


@pytest.mark.parametrize("state", ["COMPLETING", "CANCELLED", ""])
def test_a_job_that_ends_anyway_does_not_come_back(asked: Path, tmp_path: Path, state: str) -> None:
    script(tmp_path, "squeue", f"echo {state}")
    script(tmp_path, "scontrol", "exit 0")
    assert not requeue()
    assert "scontrol" not in asked.read_text()


def test_what_slurm_refuses_is_printed(
    asked: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    script(tmp_path, "squeue", "echo RUNNING")
    script(tmp_path, "scontrol", "echo Requested operation not permitted >&2; exit 1")
    assert not requeue()
    said = capsys.readouterr().err
    assert "could not requeue job 17: Requested operation not permitted" in said


CONTROLLER = """
import os, subprocess, sys, time
job = {"SUBMITIT_LOCAL_JOB_ID": str(os.getpid()) if sys.argv[1] == "ours" else "1"}
work = "from engram_sweep import job_environment as job; job.PEERS_SECONDS = 0.2; job.end_peers()"
stopped = subprocess.Popen(["sleep", "600"])
os.kill(stopped.pid, 19)
failed = subprocess.Popen([sys.executable, "-c", work], env={**os.environ, **job})
code = failed.wait()
time.sleep(0.2)
print(code, stopped.poll())
stopped.kill()
"""
"""A process in submitit's place, with one worker that is stopped and one that failed."""


@pytest.mark.parametrize(("whose", "end"), [("ours", "0 -9"), ("another's", "0 None")])
def test_a_worker_that_failed_kills_those_that_hang(whose: str, end: str) -> None:
    words = [sys.executable, "-c", CONTROLLER, whose]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == end, done.stderr
