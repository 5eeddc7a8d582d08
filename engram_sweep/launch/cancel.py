"""Stop a sweep: its jobs, whoever submitted them, and the drivers that would submit them again."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from engram_sweep.errors import UserError
from engram_sweep.launch.driver_lock import holder_of, mark_cancelled, turn
from engram_sweep.launch.executors.local import LocalExecutor
from engram_sweep.launch.executors.registry import job_states, jobs_of, stop_jobs
from engram_sweep.launch.jobs import Job, noted_job
from engram_sweep.own_folders import check_own
from engram_sweep.runs.records import runs_folder

MAX_TURN_SECONDS = 10
"""A driver that has its turn for longer is submitting jobs, or trains inline."""
TIMEOUT_SECONDS = 300
"""How long to wait for a driver that is submitting: sbatch has its own time limit."""


def cancel(scale: str, results: Path) -> int:
    """Stop all queued and running jobs of a sweep and wait until they are gone.

    Runs of an earlier version of its YAML count too: their jobs lie in the same folder. So do jobs
    without a note, if their queue knows which sweep they are of.

    Returns:
        How many jobs were stopped, by us or by the driver that saw that it was cancelled.

    Raises:
        UserError: some are still there, a queue does not answer, a driver cannot be stopped from
            here, or the results folder cannot be written.
    """
    folder = results / scale
    try:
        if not folder.is_dir():
            # Deleted in mid-sweep: its workers may train on.
            return _stop(scale, jobs_of(folder))
        # Another's folder may hold anything in place of the files that are written to here.
        check_own([folder])
        # A driver that sees the mark stops its own workers, perhaps before we could count them.
        workers = LocalExecutor.jobs_of(folder)
        # First, because a driver that is just starting may have its turn before we have ours.
        mark_cancelled(folder)
        with turn(folder, MAX_TURN_SECONDS) as ours:
            if ours:
                return _stop(scale, _live_jobs(folder), workers)
        if holder_of(folder) == "inline":
            raise UserError(
                f"{scale}: a driver trains in its own process (--executor inline) and ends after "
                "its present run; Ctrl-C there stops it now"
            )
        print(f"{scale}: a driver is submitting jobs; waiting for it", file=sys.stderr, flush=True)
        with turn(folder, TIMEOUT_SECONDS) as ours:
            if not ours:
                raise UserError(f"{scale}: a driver is still submitting jobs; cancel again later")
            return _stop(scale, _live_jobs(folder), workers)
    except OSError as error:
        raise UserError(f"{folder}: expected a folder with room to write: {error}") from None


def _live_jobs(folder: Path) -> list[Job]:
    """Return the jobs of all run folders, and those that only their queues know."""
    runs = runs_folder(folder.parent, folder.name)
    folders = sorted(runs.iterdir()) if runs.is_dir() else []
    jobs = [job for each in folders if (job := noted_job(each)) is not None]
    states = job_states(jobs, settle=True)
    if "unknown" in states:
        raise UserError(
            f"{folder.name}: the queue does not answer, so its jobs cannot be stopped; no driver "
            "will submit more; cancel again later"
        )
    live = [job for job, state in zip(jobs, states, strict=True) if state != "ended"]
    known = {(job.executor, job.id) for job in live}
    here = {job.folder.name for job in live if job.executor == "local"}
    return live + [
        job
        for job in jobs_of(folder)
        if (job.executor, job.id) not in known
        and not (job.executor == "local" and job.folder.name in here)
    ]


def _stop(scale: str, jobs: list[Job], before: Sequence[Job] = ()) -> int:
    if left := stop_jobs(jobs):
        named = ", ".join(f"{job.executor} {job.id}" for job in left)
        raise UserError(f"{scale}: {len(left)} of {len(jobs)} jobs are still there: {named}")
    return len({job.folder.name for job in (*before, *jobs)})
