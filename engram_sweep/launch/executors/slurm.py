"""Runs as SLURM jobs: one array per submission, split if the cluster's arrays end.

submitit writes the sbatch scripts; they are submitted and asked about by `slurm_clients` and
`squeue`. submitit would call sacct, which knows nothing on clusters without accounting, would
unpickle what jobs leave behind, and would take a job that sbatch is silent about for none.
"""

from __future__ import annotations

import os
import secrets
import shutil
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from engram_sweep.atomic_files import write_atomically, write_json
from engram_sweep.config.launch import Launch
from engram_sweep.config.scale import Scale
from engram_sweep.config.slurm import merged, read_user_file, shape
from engram_sweep.launch import snapshot
from engram_sweep.launch.executors.protocol import Refused, Resources
from engram_sweep.launch.executors.slurm_clients import (
    CLIENTS,
    max_array_size,
    sbatch,
)
from engram_sweep.launch.executors.slurm_script import Request, request_of
from engram_sweep.launch.executors.squeue import QUEUE, RUNS_FILE
from engram_sweep.launch.jobs import Job, State, now
from engram_sweep.own_folders import own_folder
from engram_sweep.runs.provenance import code_state

SIGNAL_SECONDS = 120
"""How long before its time limit a job is asked to stop, if the cluster's keys do not say."""
LOOKS_FOR_ORPHANS = 5
"""How often squeue is asked, a second apart, whether a failed sbatch left jobs."""


class SlurmExecutor:
    """Submits arrays.

    Args:
        request: what jobs are submitted with.
        files: the folder for the files of all arrays, `<results>/<scale>/jobs`.
    """

    name = "slurm"
    queues = True

    def __init__(self, request: Request, files: Path) -> None:
        self.request, self.files = request, files

    def submit(self, folders: Sequence[Path]) -> list[Job]:
        """Submit one job per run folder, in as few arrays as the cluster allows, and note each.

        Raises:
            Refused: SLURM refuses the jobs or does not answer; none is left in its queue.
            OSError: a folder cannot be written; none is left either.
        """
        jobs: list[Job] = []
        try:
            for chunk in chunks(folders, max_array_size()):
                jobs += self._submit_array(chunk, after=jobs[-1:])
        except (Refused, OSError):
            self.cancel(jobs)
            raise
        return jobs

    def _submit_array(self, folders: Sequence[Path], after: Sequence[Job]) -> list[Job]:
        # Before the submission, all that its jobs and whoever finds them need.
        files = self.files / f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(3)}"
        own_folder(own_folder(self.files) / files.name)
        run_ids = [folder.name for folder in folders]
        write_json(files / RUNS_FILE, run_ids)
        # Arrays side by side would run more jobs at a time than one may.
        first = after[0].id.partition("_")[0] if after else None
        script = files / "array_submission.sh"
        text = self.request.script(files.resolve(), run_ids, first)
        write_atomically(script, lambda path: path.write_text(text))
        links = [
            link
            for task, folder in enumerate(folders)
            for link in _link_output(folder / "job", files, task, self.request.shape.processes)
        ]
        try:
            number = self._submitted(script)
        except Refused:
            for link in links:
                link.unlink(missing_ok=True)
            # Without squeue's word jobs may be there: a later driver finds them by these files.
            if QUEUE.answering:
                shutil.rmtree(files, ignore_errors=True)
            raise

        # Later than the submission: an answer of squeue from before does not speak of these jobs.
        submitted_at = now()
        ids = [f"{number}_{task}" for task in range(len(folders))] if len(folders) > 1 else [number]
        jobs = [
            Job(folder, self.name, each, submitted_at)
            for folder, each in zip(folders, ids, strict=True)
        ]
        for job in jobs:
            job.note()
        return jobs

    def _submitted(self, script: Path) -> str:
        """Submit a script and return its job's id; if sbatch does not say, squeue may know it.

        sbatch may time out after the controller has taken the job.
        """
        try:
            number = sbatch(script)
            failure = Refused("sbatch did not say that SLURM took the jobs, and squeue has none")
        except Refused as error:
            number, failure = None, error
        QUEUE.forget()
        if number is not None:
            return number
        for _ in range(LOOKS_FOR_ORPHANS):
            if found := QUEUE.jobs_of(self.files.parent, script.parent.name):
                return found[0].id.partition("_")[0]
            if not QUEUE.answering:
                break
            time.sleep(1)
            QUEUE.forget()
        raise failure

    @staticmethod
    def states(jobs: Sequence[Job]) -> list[State]:
        """Return how each job stands (see `Squeue.states`)."""
        return QUEUE.states(jobs)

    @staticmethod
    def cancel(jobs: Sequence[Job], force: bool = False) -> None:
        """Take jobs off the queue or stop them (see `Squeue.cancel`)."""
        QUEUE.cancel(jobs, force)

    @staticmethod
    def failure_of(job: Job) -> str | None:
        """Return what SLURM ended a job with (see `Squeue.failure_of`)."""
        return QUEUE.failure_of(job)

    @staticmethod
    def reason_of(job: Job) -> str | None:
        """Return why a job waits (see `Squeue.reason_of`)."""
        return QUEUE.reason_of(job)

    @staticmethod
    def jobs_of(home: Path) -> list[Job]:
        """Return the jobs of a sweep, noted or not (see `Squeue.jobs_of`)."""
        return QUEUE.jobs_of(home)


class SlurmScheduler:
    """Launches all runs of a sweep as arrays of SLURM jobs."""

    name = SlurmExecutor.name
    queue = QUEUE

    def what_is_missing(self, scale: Scale) -> str | None:
        """Return which of SLURM's clients are missing, or None."""
        missing = [name for name in CLIENTS if shutil.which(name) is None]
        if not missing:
            return None
        return (
            f"{scale.name}: no SLURM ({missing[0]}) here, nothing was launched; DRY_RUN=1 "
            f"make sweep SCALE={scale.name} writes what would be submitted"
        )

    def resources(self, scale: Scale) -> Resources:
        """Return nodes and processes of one run, with the user's own cluster keys merged in."""
        slurm = merged(scale.launch.slurm, read_user_file())
        gpus = scale.launch.gpus if scale.launch.gpu else 0
        found = shape(slurm, gpus, scale.training.batch_windows)
        return Resources(found, slurm.signal_seconds or SIGNAL_SECONDS, slurm)

    def start(self, scale: Scale, resources: Resources, folder: Path) -> SlurmExecutor:
        """Take the snapshot and return the executor."""
        code = snapshot.take(folder / "code", code_state())
        return SlurmExecutor(request_of(scale, resources, code), folder / "jobs")

    def max_concurrent(self, launch: Launch) -> int:
        """Return `launch.parallel`; SLURM itself holds back, by the limit on its arrays."""
        return launch.parallel or 1


def chunks(folders: Sequence[Path], size: int) -> list[Sequence[Path]]:
    """Folders in arrays of at most `size`."""
    return [folders[start : start + size] for start in range(0, len(folders), size)]


def _link_output(links: Path, files: Path, task: int, processes: int) -> list[Path]:
    """Link the output of one task into its run's folder; the files come when the job starts."""
    own_folder(links)
    made = []
    for rank in range(processes):
        for end in ("out", "err"):
            name = f"{task}_{rank}_log.{end}"
            made.append(links / f"{files.name}-{name}")
            made[-1].symlink_to(os.path.relpath(files / name, links))
    return made
