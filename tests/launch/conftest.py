from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from engram_sweep.config.launch import Retries
from engram_sweep.launch.executors.inline import InlineScheduler
from engram_sweep.launch.executors.protocol import Queue
from engram_sweep.launch.executors.registry import SCHEDULERS
from engram_sweep.launch.jobs import Job, State, now
from engram_sweep.launch.status import folder_of
from engram_sweep.planning.plan import Plan
from engram_sweep.runs.folder import RunFolder

RETRIES = Retries(node=1, preempted=3, timed_out=4, out_of_memory=0, bug=2, bad_data=0)


def folder_for(plan: Plan, results: Path) -> RunFolder:
    folder = folder_of(plan.runs[0], results)
    folder.path.mkdir(parents=True)
    return folder


def reach_step(folder: Path, step: int) -> None:
    (folder / "checkpoints").mkdir(exist_ok=True)
    (folder / "checkpoints" / f"step-{step:08d}-{'0' * 32}.pt").touch()


def sbatch_options(script: str) -> dict[str, str]:
    """What a script asks sbatch for, by option."""
    return dict(re.findall(r"^#SBATCH --([a-z-]+)=?(.*)$", script, re.MULTILINE))


class Pretended:
    """An executor whose workers do `work` and end at once.

    Without it they leave nothing, as if killed.
    """

    name = "pretended"
    queues = False

    def __init__(self) -> None:
        self.state: State = "ended"
        self.work: Callable[[Path], object] = lambda folder: None
        self.folders: list[Path] = []
        self.asked: list[int] = []

    def submit(self, folders: Sequence[Path]) -> list[Job]:
        self.folders += folders
        for folder in folders:
            self.work(folder)
        return [Job(folder, self.name, str(len(self.folders)), now()) for folder in folders]

    def states(self, jobs: Sequence[Job]) -> list[State]:
        self.asked.append(len(jobs))
        return [self.state] * len(jobs)

    def failure_of(self, job: Job) -> None:
        pass

    def reason_of(self, job: Job) -> None:
        pass

    def jobs_of(self, home: Path) -> list[Job]:
        return []

    def cancel(self, jobs: Sequence[Job], force: bool = False) -> None:
        self.state = "ended"


class PretendedScheduler(InlineScheduler):
    """Answers for the jobs of a pretended executor."""

    def __init__(self, executor: Pretended) -> None:
        self._executor = executor

    @property
    def queue(self) -> Queue:
        return self._executor


@pytest.fixture
def pretended(monkeypatch: pytest.MonkeyPatch) -> Pretended:
    executor = Pretended()
    monkeypatch.setitem(SCHEDULERS, executor.name, PretendedScheduler(executor))
    return executor
