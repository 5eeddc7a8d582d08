"""Runs in the driver's own process: for debugging."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from pathlib import Path

from engram_sweep import worker
from engram_sweep.config.launch import Launch
from engram_sweep.config.scale import Scale
from engram_sweep.config.slurm import Shape
from engram_sweep.launch.executors.local import SIGNAL_SECONDS, missing_gpu
from engram_sweep.launch.executors.protocol import Resources
from engram_sweep.launch.jobs import Job, State, now


class InlineExecutor:
    """Trains in the driver's own process, run after run, with Lightning's progress bar."""

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
    def failure_of(job: Job) -> None:
        """Nothing but the worker itself."""

    @staticmethod
    def states(jobs: Sequence[Job]) -> list[State]:
        """Return all ended: there is a note only afterwards."""
        return ["ended"] * len(jobs)

    @staticmethod
    def reason_of(job: Job) -> None:
        """Nothing: no job waits."""

    @staticmethod
    def jobs_of(home: Path) -> list[Job]:
        """Return none: a driver's own process is not to be stopped from outside."""
        return []

    @staticmethod
    def cancel(jobs: Sequence[Job], force: bool = False) -> None:
        """Nothing is left to stop."""


class InlineScheduler:
    """Launches one run after the other in this process."""

    name = InlineExecutor.name
    queue = InlineExecutor

    def what_is_missing(self, scale: Scale) -> str | None:
        """Return that a GPU is missing, or None."""
        return missing_gpu(scale)

    def resources(self, scale: Scale) -> Resources:
        """Return one process: inline means one, however many GPUs are visible."""
        gpus = scale.launch.gpus if scale.launch.gpu else 0
        return Resources(Shape(devices=1, gpus_per_node=gpus), SIGNAL_SECONDS)

    def start(self, scale: Scale, resources: Resources, folder: Path) -> InlineExecutor:
        """Return the executor; this process runs the code that it imported."""
        return InlineExecutor()

    def max_concurrent(self, launch: Launch) -> int:
        """Return 1."""
        return 1
