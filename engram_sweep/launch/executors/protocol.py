"""What the driver asks of whoever starts workers.

A second scheduler is one module that keeps these protocols. To ask about a job and to stop it, the
job's note is enough (`engram_sweep.launch.jobs`): an executor keeps no state that a driver's death
could lose. Executors know nothing of models.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from engram_sweep.config.launch import Launch
from engram_sweep.config.scale import Scale
from engram_sweep.config.slurm import Shape, Slurm
from engram_sweep.errors import UserError
from engram_sweep.launch.jobs import Job, State


@dataclass(frozen=True)
class Resources:
    """What the runs of a scale are given by their scheduler."""

    shape: Shape
    signal_seconds: int
    """How long before its time is up a worker is asked to stop."""
    slurm: Slurm = field(default_factory=Slurm)
    """The merged keys of a cluster; empty for schedulers without one."""


class Refused(UserError):
    """A queue did not take jobs; none of them is left in it."""


class Queue(Protocol):
    """Where jobs of one kind wait and run; answers for all jobs in one call."""

    def states(self, jobs: Sequence[Job]) -> list[State]:
        """Return how each job stands, in the order asked."""
        ...

    def cancel(self, jobs: Sequence[Job], force: bool = False) -> None:
        """Ask jobs to stop, those that have ended too, and return at once.

        Args:
            jobs: which.
            force: leave them no time to write a checkpoint.
        """
        ...

    def failure_of(self, job: Job) -> str | None:
        """Return the kind of failure with which the queue itself ended a job, None if unknown."""
        ...

    def reason_of(self, job: Job) -> str | None:
        """Return why a job waits, None if the queue does not say."""
        ...

    def jobs_of(self, home: Path) -> list[Job]:
        """Return the live jobs of a sweep that can be found without their notes.

        Args:
            home: `<results>/<scale>`.
        """
        ...


class Executor(Queue, Protocol):
    """Starts workers."""

    name: str
    """As in a job's note, and in the registry."""
    queues: bool
    """Whether jobs wait in a queue that outlives the driver.

    All runs are then submitted at once, and Ctrl-C stops none."""

    def submit(self, folders: Sequence[Path]) -> list[Job]:
        """Start the worker of each run folder, or queue it.

        The worker's stderr is to be found as `<folder>/job/*_log.err`.

        Returns:
            One job per folder, in order; the caller notes them.

        Raises:
            Refused: a queue did not take the jobs; the driver may try again later.
            OSError: a folder cannot be written.
        """
        ...


class Scheduler(Protocol):
    """One way to launch runs: an entry of `engram_sweep.launch.executors.registry.SCHEDULERS`."""

    @property
    def name(self) -> str:
        """What `--executor` and `launch.executor` call it, and the name in a job's note."""
        ...

    @property
    def queue(self) -> Queue:
        """What answers for jobs of this name, whoever submitted them."""
        ...

    def what_is_missing(self, scale: Scale) -> str | None:
        """Return what keeps this machine from launching a scale, in one line; None if nothing."""
        ...

    def resources(self, scale: Scale) -> Resources:
        """Return where the runs of a scale train.

        Raises:
            UserError: the user's cluster file is wrong, or GPUs and windows do not divide evenly.
        """
        ...

    def start(self, scale: Scale, resources: Resources, folder: Path) -> Executor:
        """Return the executor of one sweep.

        Args:
            scale: the sweep.
            resources: where its runs train.
            folder: `<results>/<scale>`; workers import a snapshot of the code in its `code/`.

        Raises:
            UserError: the snapshot exists and was changed since.
            OSError: it cannot be written.
        """
        ...

    def max_concurrent(self, launch: Launch) -> int:
        """Return how many runs the driver starts side by side; a queue holds back by itself."""
        ...
