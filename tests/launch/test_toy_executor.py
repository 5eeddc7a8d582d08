"""The recipe of docs/architecture.md for a new executor: one module that registers itself."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest

from engram_sweep.errors import UserError
from engram_sweep.launch.cancel import cancel
from engram_sweep.launch.executors.registry import SCHEDULERS, choose
from engram_sweep.launch.jobs import Job, now
from engram_sweep.launch.status import folder_of, sweep_status
from engram_sweep.launch.sweep import sweep
from engram_sweep.planning.plan import Plan

MODULE = '''
"""A scheduler with a spool folder: a job is a file there, and a worker is a plain subprocess."""
import subprocess

from engram_sweep.config.slurm import Shape
from engram_sweep.launch import snapshot
from engram_sweep.launch.executors.protocol import Resources
from engram_sweep.launch.executors.registry import SCHEDULERS
from engram_sweep.launch.jobs import Job, now
from engram_sweep.launch.worker_command import worker_command
from engram_sweep.runs.provenance import code_state

CHILDREN = {}


class SpoolExecutor:
    name = "spool"
    queues = True

    def __init__(self, code):
        self.code = code

    def submit(self, folders):
        jobs = []
        for folder in folders:
            (folder / "job").mkdir(exist_ok=True)
            with (folder / "job/1_log.err").open("wb") as log:
                child = subprocess.Popen(worker_command(folder, self.code), stderr=log)
            CHILDREN[str(child.pid)] = child
            jobs.append(Job(folder, self.name, str(child.pid), now()))
        return jobs

    @staticmethod
    def states(jobs):
        left = [job.id in CHILDREN and CHILDREN[job.id].poll() is None for job in jobs]
        return ["running" if there else "ended" for there in left]

    @staticmethod
    def failure_of(job):
        return None

    @staticmethod
    def reason_of(job):
        return None

    @staticmethod
    def jobs_of(home):
        return []

    @staticmethod
    def cancel(jobs, force=False):
        for job in jobs:
            CHILDREN[job.id].kill() if force else CHILDREN[job.id].terminate()


class SpoolScheduler:
    name = "spool"
    queue = SpoolExecutor

    def what_is_missing(self, scale):
        return None

    def resources(self, scale):
        return Resources(Shape(), signal_seconds=30)

    def start(self, scale, resources, folder):
        return SpoolExecutor(snapshot.take(folder / "code", code_state()))

    def max_concurrent(self, launch):
        return 1


SCHEDULERS["spool"] = SpoolScheduler()
'''


@pytest.fixture
def spool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    package = tmp_path / "packages" / "spool_scheduler"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(MODULE)
    monkeypatch.syspath_prepend(str(package.parent))
    module = importlib.import_module("spool_scheduler")
    yield module
    for child in module.CHILDREN.values():
        child.wait(60)
    SCHEDULERS.pop("spool")
    sys.modules.pop("spool_scheduler")


def test_a_new_scheduler_trains_a_sweep(spool, one_run: Plan, tmp_path: Path) -> None:
    results = tmp_path / "results"
    statuses = sweep(one_run, results, lambda statuses: None, executor="spool")
    assert [status.state for status in statuses] == ["done"]
    assert len(spool.CHILDREN) == 1


def test_status_and_cancel_ask_the_new_scheduler(spool, one_run: Plan, tmp_path: Path) -> None:
    folder = folder_of(one_run.runs[0], tmp_path).path
    folder.mkdir(parents=True)
    child = spool.subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    spool.CHILDREN[str(child.pid)] = child
    Job(folder, "spool", str(child.pid), now()).note()
    assert [status.live for status in sweep_status(one_run, tmp_path)] == [True]
    assert cancel(one_run.scale.name, tmp_path) == 1
    assert child.wait(10) != 0
    assert [status.live for status in sweep_status(one_run, tmp_path)] == [False]


def test_a_scheduler_that_is_not_registered_is_refused_with_those_that_are(one_run: Plan) -> None:
    with pytest.raises(UserError, match="expected one of local, slurm, inline, got 'spool'"):
        choose(one_run.scale.launch, "spool")
