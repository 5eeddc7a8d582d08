"""Stop a sweep: its jobs, whoever submitted them, and the drivers that would submit them again."""

from __future__ import annotations

from pathlib import Path

from engram_sweep.errors import UserError
from engram_sweep.launch.driver_lock import mark_cancelled, turn
from engram_sweep.launch.executors.registry import job_states, stop_jobs
from engram_sweep.launch.jobs import Job, noted_job
from engram_sweep.runs.records import runs_folder

TIMEOUT_SECONDS = 10
"""How long to wait for the driver lock.

Only an inline driver holds it longer; it sees the cancellation mark at its next poll."""


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
        with turn(folder, TIMEOUT_SECONDS):
            mark_cancelled(folder)
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
