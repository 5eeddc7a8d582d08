"""Which executor is chosen, and questions about jobs of several of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from engram_sweep.config.launch import Launch
from engram_sweep.errors import UserError
from engram_sweep.launch.executors import registry
from engram_sweep.launch.executors.inline import InlineScheduler
from engram_sweep.launch.executors.registry import SCHEDULERS, choose, job_states, stop_jobs
from engram_sweep.launch.jobs import Job, State

CPU = Launch(sustained_gflops=10.0)
GPU = Launch(gpu="h100")


class Stubborn(InlineScheduler):
    """Jobs that run until they are cancelled by force."""

    def __init__(self) -> None:
        self.state: State = "running"
        self.asked: list[list[str]] = []
        self.forced: list[bool] = []

    @property
    def queue(self) -> Stubborn:
        return self

    def states(self, jobs: Sequence[Job]) -> list[State]:
        self.asked.append([job.id for job in jobs])
        return [self.state] * len(jobs)

    def failure_of(self, job: Job) -> str | None:
        return None

    def cancel(self, jobs: Sequence[Job], force: bool = False) -> None:
        self.forced.append(force)
        self.state = "ended" if force else "running"


def jobs(*executors: str) -> list[Job]:
    return [Job(Path(), name, str(number), "") for number, name in enumerate(executors)]


@pytest.fixture
def stubborn(monkeypatch: pytest.MonkeyPatch) -> Stubborn:
    scheduler = Stubborn()
    monkeypatch.setitem(SCHEDULERS, "stubborn", scheduler)
    return scheduler


@pytest.mark.parametrize(
    ("launch", "asked", "sbatch", "chosen"),
    [
        (CPU, None, True, "local"),
        (CPU, "slurm", True, "slurm"),
        (GPU, None, True, "slurm"),
        (GPU, None, False, "local"),
        (GPU, "inline", True, "inline"),
        (Launch(gpu="h100", executor="local"), None, True, "local"),
        (Launch(gpu="h100", executor="local"), "slurm", True, "slurm"),
    ],
)
def test_what_is_asked_for_wins_then_the_scale_then_slurm_for_gpus(
    monkeypatch: pytest.MonkeyPatch, launch: Launch, asked: str | None, sbatch: bool, chosen: str
) -> None:
    monkeypatch.setattr(registry.shutil, "which", lambda name: "/bin/sbatch" if sbatch else None)
    assert choose(launch, asked) is SCHEDULERS[chosen]


def test_an_unknown_executor_is_one_line() -> None:
    with pytest.raises(UserError, match=r"executor: expected one of local, slurm, inline, got 'x'"):
        choose(CPU, "x")


def test_each_queue_is_asked_once_and_answers_keep_their_order(stubborn: Stubborn) -> None:
    mixed = jobs("stubborn", "inline", "stubborn", "of another version")
    assert job_states(mixed) == ["running", "ended", "running", "ended"]
    assert stubborn.asked == [["0", "2"]]


def test_jobs_that_do_not_stop_are_killed_after_the_grace(
    stubborn: Stubborn, monkeypatch: pytest.MonkeyPatch
) -> None:
    ticks = iter(range(0, 10_000, 10))
    monkeypatch.setattr(registry.time, "monotonic", lambda: next(ticks))
    monkeypatch.setattr(registry, "POLL_SECONDS", 0)
    assert stop_jobs(jobs("stubborn", "inline")) == []
    assert stubborn.forced == [False, True]


def test_jobs_that_are_still_there_are_named(
    stubborn: Stubborn, monkeypatch: pytest.MonkeyPatch
) -> None:
    ticks = iter(range(0, 10_000, 10))
    monkeypatch.setattr(registry.time, "monotonic", lambda: next(ticks))
    monkeypatch.setattr(registry, "POLL_SECONDS", 0)
    monkeypatch.setattr(stubborn, "cancel", lambda jobs, force=False: None)
    asked = jobs("inline", "stubborn")
    assert stop_jobs(asked) == asked[1:]
