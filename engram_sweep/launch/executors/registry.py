"""The schedulers that there are, and questions about jobs of any of them."""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from pathlib import Path

from engram_sweep.config.launch import Launch
from engram_sweep.errors import UserError
from engram_sweep.launch.executors.inline import InlineScheduler
from engram_sweep.launch.executors.local import LocalScheduler
from engram_sweep.launch.executors.protocol import Scheduler
from engram_sweep.launch.executors.slurm import SlurmScheduler
from engram_sweep.launch.jobs import Job, State

SCHEDULERS: dict[str, Scheduler] = {
    scheduler.name: scheduler
    for scheduler in (LocalScheduler(), SlurmScheduler(), InlineScheduler())
}
"""Every way to launch runs, by its name."""

MAX_STOP_SECONDS = 30
"""Workers that are asked to stop have this long to write a checkpoint; then they are killed."""
TIMEOUT_SECONDS = 90
"""How long `stop_jobs` waits for jobs to end: SLURM's own grace comes on top of ours."""
POLL_SECONDS = 0.2
SETTLE_SECONDS = 3
"""A queue that was not sure of a job is asked again after so long."""


def choose(launch: Launch, asked: str | None = None) -> Scheduler:
    """Return the scheduler asked for, else the scale's, else SLURM for GPUs if sbatch is there.

    Raises:
        UserError: there is no such executor.
    """
    if asked and asked not in SCHEDULERS:
        raise UserError(f"executor: expected one of {', '.join(SCHEDULERS)}, got {asked!r}")
    on_slurm = launch.gpu and shutil.which("sbatch")
    return SCHEDULERS[asked or launch.executor or ("slurm" if on_slurm else "local")]


def job_states(jobs: Sequence[Job], settle: bool = False) -> list[State]:
    """Return how jobs of any executors stand, in the order asked; each queue is asked once.

    Args:
        jobs: which.
        settle: ask once more, some seconds later, if a queue is not sure of one. A driver that
            looks again and again has no need of it.
    """
    states = _states(jobs)
    if settle and "unknown" in states:
        time.sleep(SETTLE_SECONDS)
        states = _states(jobs)
    return states


def _states(jobs: Sequence[Job]) -> list[State]:
    states: dict[Job, State] = {}
    ended: list[State] = ["ended"]
    for name in {job.executor for job in jobs}:
        asked = [job for job in jobs if job.executor == name]
        # A note that names no executor is not ours: the run's lock says whether anyone is at it.
        states |= dict(
            zip(
                asked,
                SCHEDULERS[name].queue.states(asked) if name in SCHEDULERS else ended * len(asked),
                strict=True,
            )
        )
    return [states[job] for job in jobs]


def failure_of(job: Job | None) -> str | None:
    """Return the kind of failure that a job's queue ended it with, None if it reports none."""
    if job is None or job.executor not in SCHEDULERS:
        return None
    return SCHEDULERS[job.executor].queue.failure_of(job)


def reason_of(job: Job | None) -> str | None:
    """Return why a job waits in its queue, None if that does not say."""
    if job is None or job.executor not in SCHEDULERS:
        return None
    return SCHEDULERS[job.executor].queue.reason_of(job)


def jobs_of(home: Path) -> list[Job]:
    """Return the live jobs of a sweep that any queue knows, noted or not.

    Args:
        home: `<results>/<scale>`.
    """
    return [job for scheduler in SCHEDULERS.values() for job in scheduler.queue.jobs_of(home)]


def stop_jobs(jobs: Sequence[Job]) -> list[Job]:
    """Ask jobs of any executors to stop, and see to it that they do.

    Returns:
        Those still there, because their queue takes its time or does not answer.
    """
    _cancel(jobs)
    asked = time.monotonic()
    left, forced = _not_ended(jobs), False
    while left and time.monotonic() - asked < TIMEOUT_SECONDS:
        if not forced and time.monotonic() - asked > MAX_STOP_SECONDS:
            _cancel(left, force=True)
            forced = True
        time.sleep(POLL_SECONDS)
        left = _not_ended(left)
    return left


def _cancel(jobs: Sequence[Job], force: bool = False) -> None:
    for name in {job.executor for job in jobs} & set(SCHEDULERS):
        SCHEDULERS[name].queue.cancel([job for job in jobs if job.executor == name], force)


def _not_ended(jobs: Sequence[Job]) -> list[Job]:
    return [job for job, state in zip(jobs, job_states(jobs), strict=True) if state != "ended"]
