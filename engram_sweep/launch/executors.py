"""Starting workers. An executor turns a run folder into a job; it knows nothing of models."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import submitit

from engram_sweep import worker


class Job(Protocol):
    """A started worker."""

    def done(self) -> bool:
        """Whether the worker has ended, well or not."""
        ...

    def cancel(self) -> None:
        """Ask it to stop."""
        ...


class Executor(Protocol):
    """Starts workers."""

    def submit(self, folder: Path) -> Job:
        """Start the worker of one run folder."""
        ...


class LocalExecutor:
    """One process per run through submitit, which survives the driver.

    Args:
        timeout_minutes: after which submitit stops a worker.
        gpus: GPUs that a worker sees; submitit hides all of them where none are asked for.
    """

    def __init__(self, timeout_minutes: int, gpus: int = 0) -> None:
        self.timeout_minutes, self.gpus = timeout_minutes, gpus

    def submit(self, folder: Path) -> Job:
        """Start a process. Its files and output are in `<folder>/job/`, those of the last attempt only."""
        files = folder / "job"
        shutil.rmtree(files, ignore_errors=True)
        executor = submitit.LocalExecutor(folder=files)
        executor.update_parameters(timeout_min=self.timeout_minutes, gpus_per_node=self.gpus)
        with _stderr_to(files / "controller.err"):
            return executor.submit(worker.run, str(folder))


@contextmanager
def _stderr_to(path: Path) -> Iterator[None]:
    """Let processes that start here inherit a file as stderr.

    submitit's controller gets the terminal's Ctrl-C too, and would print its traceback over the driver's one line.
    """
    ours = os.dup(2)
    with path.open("wb") as file:
        os.dup2(file.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(ours, 2)
        os.close(ours)


class _Finished:
    def done(self) -> bool:
        return True

    def cancel(self) -> None:
        pass


class InlineExecutor:
    """Trains in the driver's own process, one run after the other, under Lightning's progress bar: for debugging."""

    def submit(self, folder: Path) -> Job:
        """Train now; the returned job has ended."""
        worker.run(str(folder), inline=True)
        return _Finished()
