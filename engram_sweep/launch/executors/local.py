"""Starting workers, asking how they are, stopping them. An executor knows nothing of models.

To ask and to stop, a job's note is enough (`engram_sweep.launch.jobs`): an executor keeps no state
that a driver's death could lose.
"""

from __future__ import annotations

import os
import platform
import shutil
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Protocol

import submitit

from engram_sweep import worker
from engram_sweep.config.slurm import Shape
from engram_sweep.launch.executors.squeue import QUEUE
from engram_sweep.launch.jobs import Job, State, now
from engram_sweep.launch.snapshot import imported_from

ONE_PROCESS = Shape()

GRACE_SECONDS = 30
"""Workers that are asked to stop have this long to write a checkpoint; then they are killed."""
PATIENCE_SECONDS = 90
"""So long jobs are waited for: SLURM's own grace comes on top of ours."""
POLL_SECONDS = 0.2


class Queue(Protocol):
    """Where jobs of one kind wait and run; answers for all jobs in one call."""

    def states(self, jobs: Sequence[Job]) -> list[State]:
        """How each job stands, in the order asked."""
        ...

    def cancel(self, jobs: Sequence[Job], force: bool = False) -> None:
        """Ask jobs to stop, those that have ended too, and return at once.

        Args:
            jobs: which.
            force: leave them no time to write a checkpoint.
        """
        ...

    def ended_by(self, job: Job) -> str | None:
        """The class of failure that the queue itself ended a job with, where it knows of one."""
        ...


class Executor(Queue, Protocol):
    """Starts workers."""

    name: str
    """As in a job's note, and in `QUEUES`."""
    queues: bool
    """Whether jobs wait in a queue that outlives the driver: all runs are submitted at once, and Ctrl-C stops none."""

    def submit(self, folders: Sequence[Path]) -> list[Job]:
        """Start the worker of each run folder, or queue it.

        The worker's stderr is to be found as `<folder>/job/*_log.err`.

        Returns:
            One job per folder, in order; the caller notes them.

        Raises:
            OSError: a folder cannot be written.
        """
        ...


class LocalExecutor:
    """One process per run through submitit, which survives the driver.

    Args:
        timeout_minutes: after which submitit stops a worker.
        shape: processes of one run, and the GPUs that they see; submitit hides all of them where
            none are asked for.
        code: the snapshot that workers import; this process's own code without one.
    """

    name = "local"
    queues = False

    def __init__(
        self, timeout_minutes: int, shape: Shape = ONE_PROCESS, code: Path | None = None
    ) -> None:
        self.timeout_minutes, self.shape, self.code = timeout_minutes, shape, code
        self._children: list[submitit.Job[None]] = []

    def submit(self, folders: Sequence[Path]) -> list[Job]:
        """Start a process each. Its files and output are in `<folder>/job/`, the last attempt's in `job.last/`."""
        return [self._start(folder) for folder in folders]

    def _start(self, folder: Path) -> Job:
        # Asking an ended child takes it off the process table.
        self._children = [child for child in self._children if not child.done()]
        files = _files(folder)
        if files.exists():
            shutil.rmtree(files.with_name("job.last"), ignore_errors=True)
            files.rename(files.with_name("job.last"))
        executor = submitit.LocalExecutor(folder=files)
        executor.update_parameters(
            timeout_min=self.timeout_minutes,
            gpus_per_node=self.shape.gpus_per_node,
            tasks_per_node=self.shape.devices,
        )
        submitted_at = now()
        with _stderr_to(files / "controller.err"), imported_from(self.code):
            child = executor.submit(worker.run, str(folder))
        self._children.append(child)
        return Job(folder, self.name, f"{platform.node()}:{child.job_id}", submitted_at)

    @staticmethod
    def states(jobs: Sequence[Job]) -> list[State]:
        """Running where a process of the job is there; of another machine's jobs only the run's lock knows."""
        processes = _processes() if jobs else {}
        return [
            "running" if _mine(job) and processes.get(str(_files(job.folder))) else "ended"
            for job in jobs
        ]

    @staticmethod
    def ended_by(job: Job) -> None:
        """Nobody looks after local workers."""

    @staticmethod
    def cancel(jobs: Sequence[Job], force: bool = False) -> None:
        """Signal every process of the jobs, a worker's whose parent was killed too."""
        processes = _processes() if jobs else {}
        for job in filter(_mine, jobs):
            for pid in processes.get(str(_files(job.folder)), []):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL if force else signal.SIGTERM)


def _files(folder: Path) -> Path:
    """Where submitit's files of a run's job are; both its processes are called with this path."""
    return folder.resolve() / "job"


def _mine(job: Job) -> bool:
    return job.id.rpartition(":")[0] == platform.node()


def _processes() -> dict[str, list[int]]:
    """Process ids of submitit's processes by the folder they were called with.

    A process id alone would not do: after a reboot, or days, it may be another program's.
    """
    found: dict[str, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            words = (entry / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if {b"submitit.local._local", b"submitit.core._submit"} & set(words):
            for word in words:
                found.setdefault(os.fsdecode(word), []).append(int(entry.name))
    return found


@contextmanager
def _stderr_to(path: Path) -> Iterator[None]:
    """Let processes that start here inherit a file as stderr.

    submitit's controller gets the terminal's Ctrl-C too, and would print its traceback over the
    driver's one line.
    """
    ours = os.dup(2)
    with path.open("wb") as file:
        os.dup2(file.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(ours, 2)
        os.close(ours)


class InlineExecutor:
    """Trains in the driver's own process, one run after the other, under Lightning's progress bar: for debugging."""

    name = "inline"
    queues = False

    def submit(self, folders: Sequence[Path]) -> list[Job]:
        """Train now; the returned jobs have ended."""
        submitted_at = now()
        for folder in folders:
            worker.run(str(folder), inline=True)
        return [
            Job(folder, self.name, f"{platform.node()}:{os.getpid()}", submitted_at)
            for folder in folders
        ]

    @staticmethod
    def ended_by(job: Job) -> None:
        """Nothing but the worker itself."""

    @staticmethod
    def states(jobs: Sequence[Job]) -> list[State]:
        """All ended: there is a note only afterwards."""
        return ["ended"] * len(jobs)

    @staticmethod
    def cancel(jobs: Sequence[Job], force: bool = False) -> None:
        """Nothing is left to stop."""


QUEUES: dict[str, Queue] = {"local": LocalExecutor, "inline": InlineExecutor, "slurm": QUEUE}
"""Whom to ask about a job, by the executor's name in its note."""


def job_states(jobs: Sequence[Job]) -> list[State]:
    """How jobs of any executors stand, in the order asked; each queue is asked once."""
    states: dict[Job, State] = {}
    ended: list[State] = ["ended"]
    for name in {job.executor for job in jobs}:
        asked = [job for job in jobs if job.executor == name]
        # A note that names no executor is not ours: the run's lock says whether anyone is at it.
        states |= dict(
            zip(
                asked,
                QUEUES[name].states(asked) if name in QUEUES else ended * len(asked),
                strict=True,
            )
        )
    return [states[job] for job in jobs]


def ended_by(job: Job | None) -> str | None:
    """The class of failure that a job's queue ended it with, beside those of this project `cancelled`."""
    return (
        QUEUES[job.executor].ended_by(job) if job is not None and job.executor in QUEUES else None
    )


def stop_jobs(jobs: Sequence[Job]) -> list[Job]:
    """Ask jobs of any executors to stop, and see to it that they do.

    Returns:
        Those still there, because their queue takes its time or does not answer.
    """
    _cancel(jobs)
    asked = time.monotonic()
    left, forced = _not_ended(jobs), False
    while left and time.monotonic() - asked < PATIENCE_SECONDS:
        if not forced and time.monotonic() - asked > GRACE_SECONDS:
            _cancel(left, force=True)
            forced = True
        time.sleep(POLL_SECONDS)
        left = _not_ended(left)
    return left


def _cancel(jobs: Sequence[Job], force: bool = False) -> None:
    for name in {job.executor for job in jobs} & set(QUEUES):
        QUEUES[name].cancel([job for job in jobs if job.executor == name], force)


def _not_ended(jobs: Sequence[Job]) -> list[Job]:
    return [job for job, state in zip(jobs, job_states(jobs), strict=True) if state != "ended"]
