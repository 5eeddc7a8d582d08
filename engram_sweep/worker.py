"""What a worker process does with one run folder: train, write the record. Returns nothing; the folder says it all.

A run on several devices has a worker for each. The first of them, rank 0, holds the lock and
writes; the others train.
"""

from __future__ import annotations

import errno
import os
import platform
import sys
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engram_sweep.job_environment import requeue
from engram_sweep.runs.folder import Busy, RunFolder
from engram_sweep.runs.provenance import code_state, driver, versions
from engram_sweep.runs.records import write_record
from engram_sweep.spec import RunSpec, canonical_json
from engram_sweep.training.signals import SIGNALS, Interrupted, StopFlag

if TYPE_CHECKING:
    from engram_sweep.training.train import Place


def run(folder: str, inline: bool = False) -> None:
    """Train the run of a folder, from its last checkpoint on, unless it is done or another worker is at it.

    A failure is noted in the folder (class, message, last lines); the driver reads it there.
    SIGTERM and SIGUSR2 make training stop after the step, with a checkpoint; a SLURM job then
    requeues itself.

    Args:
        folder: the run folder, holding `run.json`.
        inline: this is the driver's own process: leave its signals alone, and show a progress bar
            on a terminal.

    Raises:
        SystemExit: one worker of several failed or found the run taken: srun then ends the others,
            who would wait.
    """
    here = RunFolder(Path(folder))
    # Inline, the driver's process goes on after the run, so its signals stay its own.
    stop = StopFlag(() if inline else SIGNALS)
    stop.own()
    rank, several = _rank_of(here)
    try:
        if here.is_done():
            return
        if rank:
            _attempt(here, rank, several, stop, inline)
        else:
            with here.held():
                if not here.is_done():
                    here.start_attempt()
                    _attempt(here, rank, several, stop, inline)
    except Busy:
        print(f"run {here.run_id} is already being trained by another worker", file=sys.stderr)
        if several:
            sys.exit(1)


def failure_kind(error: BaseException) -> str:
    """The class of a failure: out of memory, node (disk), bad data or bug."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return "out of memory"
    if isinstance(error, OSError):
        return "out of memory" if error.errno == errno.ENOMEM else "node"
    return "bad data" if isinstance(error, ValueError) else "bug"


def _rank_of(here: RunFolder) -> tuple[int, bool]:
    """Rank of this worker, and whether it has others beside it."""
    try:
        _, job = here.read_job()
    except (ValueError, KeyError, TypeError):
        return 0, False  # told of where the job is needed
    if job["nodes"] * job["devices"] == 1:
        return 0, False
    import submitit

    return submitit.JobEnvironment().global_rank, True


def _attempt(here: RunFolder, rank: int, several: bool, stop: StopFlag, inline: bool) -> None:
    """Train, and whatever happens leave word of it."""
    clock = time.monotonic()

    def seconds() -> float:
        return time.monotonic() - clock

    try:
        _train(here, stop, seconds, inline)
        return
    except Interrupted as interrupted:
        if rank == 0:
            _stopped(here, str(interrupted), seconds())
        return
    except Exception as error:
        traceback.print_exc()
        sys.stderr.flush()
        kind, message = failure_kind(error), f"{type(error).__name__}: {error}".splitlines()[0]
    # A full disk takes no last words either; the driver then finds a worker that vanished.
    with suppress(OSError):
        # When one rank fails, the others fail at the next thing they do together: the first to
        # speak knows why.
        if not here.failure():
            here.write_failure(kind, message)
        if rank == 0:
            here.end_attempt(kind, seconds(), here.checkpoint_step())
    if several:
        sys.exit(1)


def _stopped(here: RunFolder, message: str, seconds: float) -> None:
    """Note an attempt that was asked to stop, and bring the job back into the queue if it is in one."""
    _, job = here.read_job()
    # The same signals announce preemption and the time limit; only the clock tells them apart.
    kind = (
        "timed out"
        if 60 * job["timeout_minutes"] - seconds < 2 * job["signal_seconds"]
        else "preempted"
    )
    step = here.checkpoint_step()
    here.write_failure(kind, f"{message}; goes on from step {step}")
    here.end_attempt(kind, seconds, step)
    ended = [attempt for attempt in here.attempts() if attempt["ended"] == kind]
    stuck = kind == "timed out" and len(ended) > 1 and ended[-2]["step"] == step
    if len(ended) <= job["retries"][kind.replace(" ", "_")] and not stuck:
        requeue()


def _train(here: RunFolder, stop: StopFlag, seconds: Callable[[], float], inline: bool) -> None:
    # torch takes seconds to import; a worker that finds its run done or taken does not pay for it.
    import torch

    from engram_sweep.corpus.shards import load
    from engram_sweep.training.checkpoints import Checkpoints
    from engram_sweep.training.train import train

    spec, job = here.read_job()
    torch.set_num_threads(job["threads"])
    shards = load(Path(job["shards"]))
    place = _place(job)
    checkpoints = Checkpoints(here.checkpoints, 60 * job["checkpoint_minutes"])
    result = train(
        spec,
        shards,
        here.path / "logs",
        report=lambda progress: here.write_progress(asdict(progress)),
        checkpoints=checkpoints,
        stop=stop,
        place=place,
        progress_bar=inline and sys.stderr.isatty(),
    )
    if place.rank:
        return
    *before, this = here.attempts()
    wall = seconds() + sum(attempt["seconds"] or 0 for attempt in before)
    values = {
        **asdict(result),
        **_asked(here, spec, job),
        **code_state(),
        "restarts": len(before),
        "wall_seconds": wall,
        "gpu_hours": wall / 3600 * place.ranks if torch.cuda.is_available() else 0.0,
        "world_size": place.ranks,
        "corpus_fingerprint": shards.manifest.fingerprint,
        "tokenizer_fingerprint": shards.tokenizer_fingerprint(),
        "versions": versions(),
        "host": platform.node(),
        "driver": driver(),
        "started_at": datetime.fromisoformat((before or [this])[0]["started_at"]),
        "finished_at": datetime.now(UTC),
    }
    write_record(here.record, values)
    # The record stands: what comes after it may fail without harm.
    with suppress(OSError):
        here.end_attempt("done", seconds(), result.steps)
        checkpoints.clear()


def _place(job: dict[str, Any]) -> Place:
    """Where this process stands, as submitit's variables or SLURM's tell it."""
    from engram_sweep.training.train import Place

    if job["nodes"] * job["devices"] == 1:
        return Place()
    import submitit

    there = submitit.JobEnvironment()
    slurm = os.environ.get("SUBMITIT_EXECUTOR") == "slurm"
    if not slurm:
        # All on this machine: Lightning takes a process that has a LOCAL_RANK for one that was
        # started for it.
        port = 20_000 + int(there.job_id) % 20_000
        os.environ |= {
            "LOCAL_RANK": str(there.local_rank),
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": str(port),
        }
    return Place(job["nodes"], job["devices"], there.global_rank, slurm)


def _asked(here: RunFolder, spec: RunSpec, job: dict[str, Any]) -> dict[str, Any]:
    """The record's columns that were known before the run."""
    return {
        "run_id": here.run_id,
        "scale": job["scale"],
        "arm": spec.arm,
        "rho_asked": job["rho_asked"],
        "rho": spec.rho,
        "seed": spec.seed,
        "routed_experts": spec.geometry.routed_experts,
        "spec": canonical_json(spec),
        **job["ledger"],
    }
