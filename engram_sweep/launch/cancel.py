"""Stopping a sweep: its jobs, whoever submitted them, and the drivers that would submit them again."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from engram_sweep.atomic_files import read_json, write_json
from engram_sweep.errors import UserError
from engram_sweep.launch.executors.local import job_states, stop_jobs
from engram_sweep.launch.jobs import Job, noted_job, now
from engram_sweep.runs.records import runs_folder

PATIENCE_SECONDS = 10
"""A driver's turn takes no longer, but for one that trains in its own process; it is told all the same."""


@contextmanager
def turn(folder: Path, patience: float = 0) -> Iterator[bool]:
    """Whether it is our turn to submit and cancel runs of a sweep; while it is, it is nobody else's.

    The kernel lets go of the lock however its holder dies.

    Args:
        folder: `<results>/<scale>`.
        patience: seconds to wait for it.
    """
    handle = os.open(folder / "driver.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        yield _locked(handle, time.monotonic() + patience)
    finally:
        os.close(handle)


def _locked(handle: int, deadline: float) -> bool:
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if time.monotonic() >= deadline:
                return False
            time.sleep(0.05)


def last_cancel(folder: Path) -> str | None:
    """When the sweep of `<results>/<scale>` was last cancelled; a driver that sees this change ends."""
    return (read_json(folder / "cancelled.json") or {}).get("at")


def cancel(scale: str, results: Path) -> int:
    """Stop all queued and running jobs of a sweep and wait until they are gone.

    Runs of an earlier version of its YAML count too: their jobs lie in the same folder.

    Returns:
        How many jobs were stopped.

    Raises:
        UserError: some are still there, or the results folder cannot be written.
    """
    folder = results / scale
    if not folder.is_dir():
        return 0
    try:
        with turn(folder, PATIENCE_SECONDS):
            write_json(folder / "cancelled.json", {"at": now()})
            jobs = _live_jobs(runs_folder(results, scale))
    except OSError as error:
        raise UserError(f"{folder}: expected a folder with room to write: {error}") from None
    if left := stop_jobs(jobs):
        named = ", ".join(f"{job.executor} {job.id}" for job in left)
        raise UserError(f"{scale}: {len(left)} of {len(jobs)} jobs are still there: {named}")
    return len(jobs)


def _live_jobs(runs: Path) -> list[Job]:
    folders = sorted(runs.iterdir()) if runs.is_dir() else []
    jobs = [job for folder in folders if (job := noted_job(folder)) is not None]
    return [job for job, state in zip(jobs, job_states(jobs), strict=True) if state != "ended"]
