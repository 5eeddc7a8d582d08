"""Runs as SLURM jobs: one array per submission, split if the cluster's arrays end.

submitit writes the sbatch scripts and submits them. (Its pickles lie beside; no job loads them.)
How jobs stand is not asked of submitit but of squeue (module `squeue`): submitit would call sacct,
which knows nothing on clusters without accounting, and would unpickle what jobs leave behind.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import secrets
import shlex
import shutil
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import submitit
from submitit.core.utils import FailedJobError, FailedSubmissionError

from engram_sweep import worker
from engram_sweep.config.scale import Launch, Scale
from engram_sweep.config.slurm import Shape, Slurm, merged, read_user_file, shape
from engram_sweep.errors import UserError
from engram_sweep.launch import snapshot
from engram_sweep.launch.executors.protocol import Placement
from engram_sweep.launch.executors.squeue import QUEUE, TIMEOUT_SECONDS, client, unreachable
from engram_sweep.launch.jobs import Job, State, now
from engram_sweep.launch.worker_command import array_command, runs_line
from engram_sweep.own_folders import own_folder
from engram_sweep.runs.provenance import code_state

MAX_ARRAY_SIZE = 1001
"""SLURM's default MaxArraySize, for dry runs if SLURM is not installed."""
SIGNAL_SECONDS = 120
"""How long before its time limit a job is asked to stop, if the cluster's keys do not say."""


@dataclass(frozen=True)
class Request:
    """What jobs of a sweep are submitted with."""

    name: str
    """Name of the jobs."""
    slurm: Slurm
    shape: Shape
    """Nodes, processes and GPUs of one run."""
    minutes: int
    """Time limit of one job."""
    signal_seconds: int
    """How long before that a job gets the signal to write a checkpoint and requeue."""
    parallel: int
    """Jobs of an array side by side; 0 for no limit but the cluster's."""
    code: Path
    """The snapshot that jobs import, in `<results>/<scale>/code/`."""

    def script(self, folder: Path, run_ids: list[str]) -> str:
        """Return the sbatch script of an array of runs, one each, whose files go to `folder`."""
        executor = self.executor(folder, run_ids)
        if len(run_ids) > 1:
            executor.parameters["map_count"] = len(run_ids)
        return executor._make_submission_file_text(executor._submitit_command_str, "")

    def executor(self, folder: Path, run_ids: list[str]) -> submitit.SlurmExecutor:
        """Return the submitit executor of an array of runs, one each, with files in `folder`."""
        python = self.slurm.python or shlex.quote(sys.executable)
        words = " ".join(filter(None, [self.slurm.container, python]))
        executor = _OurCommand(folder, array_command(words, self.code.parent.parent, self.code))
        executor.update_parameters(**self._parameters(run_ids))
        return executor

    def _parameters(self, run_ids: list[str]) -> dict[str, Any]:
        slurm, shape = self.slurm, self.shape
        gpus = f"{slurm.gpu_type}:{shape.gpus_per_node}" if slurm.gpu_type else shape.gpus_per_node
        # srun does not take over sbatch's cpus-per-task since SLURM 22.05.
        cpus = [f"--cpus-per-task={slurm.cpus_per_task}"] if slurm.cpus_per_task else []
        return {
            "job_name": self.name,
            "partition": slurm.partition,
            "account": slurm.account,
            "qos": slurm.qos,
            "constraint": slurm.constraint,
            "time": self.minutes,
            "nodes": shape.nodes,
            "ntasks_per_node": shape.devices,
            "gpus_per_node": gpus if shape.gpus_per_node else None,
            "cpus_per_task": slurm.cpus_per_task,
            "mem": f"{round(slurm.mem_gb * 1024)}M" if slurm.mem_gb else None,
            "signal_delay_s": self.signal_seconds,
            "array_parallelism": self.parallel or len(run_ids),
            # submitit's own key would be refused if such keys are accounted.
            "wckey": None,
            "additional_parameters": {"requeue": True, **slurm.options()},
            "setup": [*slurm.setup, runs_line(run_ids)],
            # A rank that dies ends the job, or the others would wait for it; the log of a requeued
            # job goes on.
            "srun_args": ["--kill-on-bad-exit=1", "--open-mode=append", *cpus, *slurm.srun],
        }


class _OurCommand(submitit.SlurmExecutor):
    """submitit's executor, with another command than the one that loads its pickles.

    It works on machines without SLURM too: it writes scripts there.
    """

    def __init__(self, folder: Path, command: str) -> None:
        super().__init__(folder)
        self._command = command

    @property
    def _submitit_command_str(self) -> str:
        return self._command

    @classmethod
    def affinity(cls) -> int:
        return 2


class SlurmExecutor:
    """Submits arrays.

    Args:
        request: what jobs are submitted with.
        files: the folder for the files of all arrays.
    """

    name = "slurm"
    queues = True

    def __init__(self, request: Request, files: Path) -> None:
        self.request, self.files = request, files

    def submit(self, folders: Sequence[Path]) -> list[Job]:
        """Submit one job per run folder, in as few arrays as the cluster allows.

        Raises:
            UserError: SLURM refuses the jobs, and then none is left in its queue, or it does not
                answer.
            OSError: a folder cannot be written.
        """
        jobs: list[Job] = []
        for chunk in chunks(folders, max_array_size()):
            try:
                jobs += self._submit_array(chunk, after=jobs[-1:])
            except (FailedJobError, FailedSubmissionError) as error:
                self.cancel(jobs)
                said = "; ".join(
                    line.removeprefix("sbatch: error: ") for line in str(error).strip().splitlines()
                )
                raise UserError(f"SLURM refused the jobs: {said or 'it did not say why'}") from None
        return jobs

    def _submit_array(self, folders: Sequence[Path], after: Sequence[Job]) -> list[Job]:
        files = self.files / f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(3)}"
        own_folder(own_folder(self.files) / files.name)
        executor = self.request.executor(files, [folder.name for folder in folders])
        if after:
            # Arrays side by side would run more jobs at a time than one may.
            executor.update_parameters(dependency=f"afterany:{after[0].id.partition('_')[0]}")
        # submitit prints what sbatch says before it raises it.
        with contextlib.redirect_stderr(io.StringIO()):
            started = executor.map_array(worker.run, [str(folder.resolve()) for folder in folders])
        # Later than the submission: an answer of squeue from before that does not speak of these
        # jobs.
        submitted_at = now()
        for folder, job in zip(folders, started, strict=True):
            _link_output(folder / "job", files, job.job_id, self.request.shape.processes)
        return [
            Job(folder, self.name, job.job_id, submitted_at)
            for folder, job in zip(folders, started, strict=True)
        ]

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


class SlurmScheduler:
    """Launches all runs of a sweep as arrays of SLURM jobs."""

    name = SlurmExecutor.name
    queue = QUEUE

    def what_is_missing(self, scale: Scale) -> str | None:
        """Return that sbatch is missing, or None."""
        if shutil.which("sbatch"):
            return None
        return (
            f"{scale.name}: no SLURM (sbatch) here, nothing was launched; DRY_RUN=1 make sweep "
            f"SCALE={scale.name} writes what would be submitted"
        )

    def placement(self, scale: Scale) -> Placement:
        """Return nodes and processes of one run, with the user's own cluster keys merged in."""
        slurm = merged(scale.launch.slurm, read_user_file())
        gpus = scale.launch.gpus if scale.launch.gpu else 0
        found = shape(slurm, gpus, scale.training.batch_windows)
        return Placement(found, slurm.signal_seconds or SIGNAL_SECONDS, slurm)

    def start(self, scale: Scale, placement: Placement, folder: Path) -> SlurmExecutor:
        """Take the snapshot and return the executor."""
        code = snapshot.take(folder / "code", code_state())
        return SlurmExecutor(request_of(scale, placement, code), folder / "jobs")

    def max_concurrent(self, launch: Launch) -> int:
        """Return `launch.parallel`; SLURM itself holds back, by the limit on its arrays."""
        return launch.parallel or 1


def request_of(scale: Scale, placement: Placement, code: Path) -> Request:
    """Return what jobs of a scale are submitted with, which import the snapshot `code`."""
    launch = scale.launch
    return Request(
        name=f"engram-{scale.name}",
        slurm=placement.slurm,
        shape=placement.shape,
        minutes=launch.timeout_minutes,
        signal_seconds=placement.signal_seconds,
        parallel=launch.parallel,
        code=code,
    )


def max_array_size() -> int:
    """Return how many jobs an array may have.

    A controller that restarts is waited for.

    Raises:
        UserError: SLURM does not answer.
    """
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while (config := client("scontrol", "show", "config")) is None:
        if time.monotonic() > deadline:
            raise unreachable()
        time.sleep(1)
    found = re.search(r"^MaxArraySize\s*=\s*(\d+)", config, re.MULTILINE)
    # 0 is a cluster without arrays: jobs one by one.
    return max(1, int(found[1])) if found else MAX_ARRAY_SIZE


def chunks(folders: Sequence[Path], size: int) -> list[Sequence[Path]]:
    """Folders in arrays of at most `size`."""
    return [folders[start : start + size] for start in range(0, len(folders), size)]


def _link_output(links: Path, files: Path, job_id: str, processes: int) -> None:
    """Link an array's output of one run into its folder; the files come when the job starts."""
    links.mkdir(mode=0o700, exist_ok=True)
    for rank in range(processes):
        for end in ("out", "err"):
            name = f"{job_id}_{rank}_log.{end}"
            (links / name).symlink_to(os.path.relpath(files / name, links))
