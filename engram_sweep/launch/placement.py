"""Which executor launches a sweep, whether it can here, and how it is set up."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from engram_sweep.config.scale import Launch, Scale
from engram_sweep.config.slurm import Shape, Slurm, merged, read_user_file, shape
from engram_sweep.errors import UserError
from engram_sweep.launch import snapshot
from engram_sweep.launch.executors.local import Executor, InlineExecutor, LocalExecutor
from engram_sweep.launch.executors.slurm import Request, SlurmExecutor
from engram_sweep.runs.provenance import code_state

EXECUTORS = ("local", "slurm", "inline")
LOCAL_SIGNAL_SECONDS = 30
"""submitit signals a local worker this long before its time is up."""
SLURM_SIGNAL_SECONDS = 120


@dataclass(frozen=True)
class Place:
    """Where and how the runs of a scale are to train."""

    executor: str
    """One of `EXECUTORS`."""
    shape: Shape
    slurm: Slurm
    """The merged keys; those of no cluster for other executors."""
    signal_seconds: int
    """How long before its time is up a worker is told."""


def choose(launch: Launch, asked: str | None = None) -> str:
    """The executor: the one asked for, else the scale's, else SLURM where GPUs are asked for and it is there.

    Raises:
        UserError: there is no such executor.
    """
    if asked and asked not in EXECUTORS:
        raise UserError(f"executor: expected one of {', '.join(EXECUTORS)}, got {asked!r}")
    return (
        asked or launch.executor or ("slurm" if launch.gpu and shutil.which("sbatch") else "local")
    )


def what_is_missing(scale: Scale, executor: str) -> str | None:
    """What keeps this machine from launching a scale, in one line; None where nothing does."""
    gpu = scale.launch.gpu
    if executor == "slurm":
        if shutil.which("sbatch"):
            return None
        return (
            f"{scale.name}: no SLURM (sbatch) here, nothing was launched; DRY_RUN=1 make sweep SCALE={scale.name} "
            "writes what would be submitted"
        )
    if gpu is None or any(Path("/dev").glob("nvidia[0-9]*")):
        return None
    return f"{scale.name}: no GPU here, launch.gpu asks for {gpu}; nothing was launched"


def place(scale: Scale, executor: str) -> Place:
    """Where the runs of a scale train.

    Raises:
        UserError: the user's cluster file is wrong, or GPUs and windows do not divide evenly over
            nodes.
    """
    gpus = scale.launch.gpus if scale.launch.gpu else 0
    if executor != "slurm":
        # This process is one, whatever it sees.
        devices = 1 if executor == "inline" else max(1, gpus)
        return Place(
            executor, Shape(devices=devices, gpus_per_node=gpus), Slurm(), LOCAL_SIGNAL_SECONDS
        )
    slurm = merged(scale.launch.slurm, read_user_file())
    found = shape(slurm, gpus, scale.training.batch_windows)
    return Place(executor, found, slurm, slurm.signal_seconds or SLURM_SIGNAL_SECONDS)


def request(scale: Scale, where: Place, code: Path) -> Request:
    """What SLURM jobs are submitted with, which import the snapshot `code`."""
    launch = scale.launch
    return Request(
        name=f"engram-{scale.name}",
        slurm=where.slurm,
        shape=where.shape,
        minutes=launch.timeout_minutes,
        signal_seconds=where.signal_seconds,
        parallel=launch.parallel,
        code=code,
    )


def start(scale: Scale, where: Place, folder: Path) -> Executor:
    """The executor, with a snapshot of the code for its workers in `<folder>/code/`.

    Raises:
        UserError: the snapshot is there and was changed since.
        OSError: it cannot be written.
    """
    if where.executor == "inline":
        return InlineExecutor()
    code = snapshot.take(folder / "code", code_state())
    if where.executor == "slurm":
        return SlurmExecutor(request(scale, where, code), folder / "jobs")
    return LocalExecutor(scale.launch.timeout_minutes, where.shape, code)


def side_by_side(launch: Launch, executor: str) -> int:
    """Workers at a time; SLURM holds back itself, by the limit on its arrays."""
    if executor == "inline":
        return 1
    return launch.parallel or (1 if launch.gpu else len(os.sched_getaffinity(0)))
