"""Runs as processes of this machine, through submitit."""

from __future__ import annotations

import os
import platform
import shlex
import shutil
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import submitit

from engram_sweep import worker
from engram_sweep.config.launch import Launch
from engram_sweep.config.scale import Scale
from engram_sweep.config.slurm import Shape
from engram_sweep.launch import snapshot
from engram_sweep.launch.executors.forking import ForkServer
from engram_sweep.launch.executors.protocol import Resources
from engram_sweep.launch.jobs import Job, State, now
from engram_sweep.launch.worker_command import run_folder_of, worker_command
from engram_sweep.runs.folder import home_of
from engram_sweep.runs.provenance import code_state

ONE_PROCESS = Shape()
SIGNAL_SECONDS = 30
"""submitit signals a local worker this long before its time is up."""


class _OurCommand(submitit.LocalExecutor):
    """submitit's executor, with another command than the one that loads its pickle.

    Args:
        folder: of its files.
        words: the command line of a worker.
        server: what forks such workers, if there is one.
    """

    def __init__(self, folder: Path, words: list[str], server: ForkServer | None) -> None:
        super().__init__(folder)
        self._words, self._server = words, server

    @property
    def _submitit_command_str(self) -> str:
        return shlex.join(self._words)

    def _submit_command(self, command: str) -> submitit.LocalJob[None]:
        if self._server is not None:
            environment = self._environment(command)
            pid = self._server.start(Path(self.folder), self._words, environment)
            if pid is not None:
                return submitit.LocalJob(self.folder, str(pid), range(self._num_tasks()))
        return super()._submit_command(command)

    def _environment(self, command: str) -> dict[str, str]:
        """Return the variables of a controller without GPUs, as `start_controller` sets them."""
        return {
            **os.environ,
            "SUBMITIT_LOCAL_NTASKS": str(self._num_tasks()),
            "SUBMITIT_LOCAL_COMMAND": command,
            "SUBMITIT_LOCAL_TIMEOUT_S": str(60 * self.parameters["timeout_min"]),
            "SUBMITIT_LOCAL_SIGNAL_DELAY_S": str(SIGNAL_SECONDS),
            "SUBMITIT_LOCAL_NODEID": "0",
            "SUBMITIT_LOCAL_JOB_NUM_NODES": "1",
            "SUBMITIT_STDERR_TO_STDOUT": "",
            "SUBMITIT_EXECUTOR": "local",
            "CUDA_VISIBLE_DEVICES": "",
            "SUBMITIT_LOCAL_WITH_SHELL": "",
        }


class LocalExecutor:
    """One process per run through submitit, which survives the driver.

    On CPUs it is forked from a process that has imported torch (see `forking`).

    Args:
        timeout_minutes: after which submitit stops a worker.
        shape: processes of one run, and the GPUs that they see; submitit hides all of them if
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
        self._server: ForkServer | None = None

    def submit(self, folders: Sequence[Path]) -> list[Job]:
        """Start a process each.

        Its files and output are in `<folder>/job/`, the last attempt's in `job.last/`.
        """
        return [self._start(folder) for folder in folders]

    def _start(self, folder: Path) -> Job:
        # Asking an ended child takes it off the process table.
        self._children = [child for child in self._children if not child.done()]
        files = _files(folder)
        if files.exists():
            shutil.rmtree(files.with_name("job.last"), ignore_errors=True)
            files.rename(files.with_name("job.last"))
        executor = _OurCommand(files, worker_command(folder, self.code), self._fork_server(folder))
        executor.update_parameters(
            timeout_min=self.timeout_minutes,
            gpus_per_node=self.shape.gpus_per_node,
            tasks_per_node=self.shape.devices,
        )
        submitted_at = now()
        with _stderr_to(files / "controller.err"):
            child = executor.submit(worker.run, str(folder))
        self._children.append(child)
        return Job(folder, self.name, f"{platform.node()}:{child.job_id}", submitted_at)

    def _fork_server(self, folder: Path) -> ForkServer | None:
        """Return what forks the worker of a run; None on GPUs, which forks must not share."""
        if self.code is None or self.shape.gpus_per_node:
            return None
        if self._server is None:
            self._server = ForkServer(home_of(folder), self.code)
        return self._server

    @staticmethod
    def states(jobs: Sequence[Job]) -> list[State]:
        """Return running if a process of the job exists; other machines' jobs count as ended."""
        processes = _processes() if jobs else {}
        return [
            "running" if _mine(job) and processes.get(_files(job.folder)) else "ended"
            for job in jobs
        ]

    @staticmethod
    def failure_of(job: Job) -> None:
        """Return None: nothing looks after local workers."""

    @staticmethod
    def reason_of(job: Job) -> None:
        """Return None: local workers do not wait."""

    @staticmethod
    def jobs_of(home: Path) -> list[Job]:
        """Return the runs of a sweep that have a process here, whose notes may be gone."""
        runs = home.resolve() / "runs"
        return [
            Job(files.parent, "local", f"{platform.node()}:{min(pids)}", now())
            for files, pids in _processes().items()
            if files.parent.parent == runs
        ]

    @staticmethod
    def cancel(jobs: Sequence[Job], force: bool = False) -> None:
        """Signal every process of the jobs, a worker's whose parent was killed too."""
        processes = _processes() if jobs else {}
        for job in filter(_mine, jobs):
            for pid in processes.get(_files(job.folder), []):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL if force else signal.SIGTERM)


def _files(folder: Path) -> Path:
    """Return the folder of submitit's files; both processes of a job are called with it."""
    return folder.resolve() / "job"


def _mine(job: Job) -> bool:
    return job.id.rpartition(":")[0] == platform.node()


def _processes() -> dict[Path, list[int]]:
    """Process ids of workers and of submitit's controllers, by the folder of submitit's files.

    A process id alone would not do: after a reboot, or days, it may be another program's.
    """
    found: dict[Path, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            line = (entry / "cmdline").read_bytes()
        except OSError:
            continue
        words = [os.fsdecode(word) for word in line.split(b"\0")]
        if (folder := run_folder_of(words)) is not None:
            found.setdefault(_files(folder), []).append(int(entry.name))
        elif "submitit.local._local" in words:
            found.setdefault(Path(words[words.index("submitit.local._local") + 1]), []).append(
                int(entry.name)
            )
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


def missing_gpu(scale: Scale) -> str | None:
    """Return that the GPU which a scale asks for is not on this machine, in one line, or None."""
    gpu = scale.launch.gpu
    if gpu is None or any(Path("/dev").glob("nvidia[0-9]*")):
        return None
    return f"{scale.name}: no GPU here, launch.gpu asks for {gpu}; nothing was launched"


class LocalScheduler:
    """Launches as many runs side by side as there are cores; one at a time on GPUs."""

    name = LocalExecutor.name
    queue = LocalExecutor

    def what_is_missing(self, scale: Scale) -> str | None:
        """Return that a GPU is missing, or None."""
        return missing_gpu(scale)

    def resources(self, scale: Scale) -> Resources:
        """Return one process per GPU of a run; without GPUs as many as SLURM would start."""
        gpus = scale.launch.gpus if scale.launch.gpu else 0
        slurm = scale.launch.slurm
        processes = (slurm.nodes or 1) * (slurm.processes_per_node or 1)
        return Resources(Shape(devices=gpus or processes, gpus_per_node=gpus), SIGNAL_SECONDS)

    def start(self, scale: Scale, resources: Resources, folder: Path) -> LocalExecutor:
        """Take the snapshot and return the executor."""
        code = snapshot.take(folder / "code", code_state())
        return LocalExecutor(scale.launch.timeout_minutes, resources.shape, code)

    def max_concurrent(self, launch: Launch) -> int:
        """Return `launch.parallel`, or one worker per core, or one on GPUs."""
        return launch.parallel or (1 if launch.gpu else len(os.sched_getaffinity(0)))
