"""What a worker process does with one run folder: train and write the record.

A worker returns nothing: whatever it has to report is in the folder.

A run on several devices has a worker for each. The first of them, rank 0, holds the lock and
writes; the others train.
"""

from __future__ import annotations

import os
import platform
import sys
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path

from engram_sweep.job_environment import end_peers, place_of, rank_of, requeue
from engram_sweep.own_folders import private_files
from engram_sweep.runs.failures import FailureKind, NodeError, kind_of, lost_peer, tries_allowed
from engram_sweep.runs.folder import Busy, RunFolder, home_of
from engram_sweep.runs.provenance import code_state, gpu_driver_version, versions
from engram_sweep.runs.records import write_record
from engram_sweep.training.signals import SIGNALS, Interrupted, StopFlag

PATIENCE_SECONDS = 2.0
"""How long a process that lost another one lets it say why."""


def run(folder: str, inline: bool = False) -> None:
    """Train the run of a folder from its last checkpoint on, unless it is done or being trained.

    A failure is noted in the folder (class, message, last lines); the driver reads it there.
    SIGTERM and SIGUSR2 make training stop after the step, with a checkpoint; a SLURM job then
    requeues itself.

    Args:
        folder: the run folder, holding `run.json`.
        inline: this is the driver's own process: leave its signals alone, and show a progress bar
            on a terminal.

    Raises:
        SystemExit: one worker of several failed or found the run taken: srun then ends the others,
            who would wait; without SLURM a worker that failed does.
    """
    here = RunFolder(Path(folder))
    # Inline, the driver's process goes on after the run, so its signals stay its own.
    stop = StopFlag(() if inline else SIGNALS)
    stop.own()
    rank, several = _standing(here, inline)
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


def preload(home: Path) -> None:
    """Import all that training needs, for processes that are forked to train.

    Args:
        home: `<results>/<scale>` of their runs.
    """
    _keep_compiled_code(home, 1)
    import_module("engram_sweep.training.touched_rows")
    import_module("engram_sweep.training.train")


def _standing(here: RunFolder, inline: bool) -> tuple[int, bool]:
    """Return the rank of this worker, and whether it has others beside it; set its file modes."""
    try:
        order = here.read_work_order()
    except ValueError:
        # An unreadable run.json is reported by _train, which needs it.
        return 0, False
    if not inline:
        private_files(order.group_readable)
    return rank_of(order), order.processes > 1


def _attempt(here: RunFolder, rank: int, several: bool, stop: StopFlag, inline: bool) -> None:
    """Train and record the outcome (done, interrupted, failed) in the run folder."""
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
        kind, peer = kind_of(error), lost_peer(error)
        message = f"{type(error).__name__}: {error}".splitlines()[0]
        if peer is not None:
            message = f"{peer} ({message})"
            # The peer may be about to say why it went.
            time.sleep(PATIENCE_SECONDS)
    # A full disk takes no last words either; the driver then finds a worker that vanished.
    with suppress(OSError):
        # When one rank fails, the others fail at the next thing they do together: the first to
        # speak knows why.
        if not here.failure():
            here.write_failure(kind, message)
        if rank == 0:
            here.end_attempt(kind, seconds(), here.checkpoint_step())
    if several:
        end_peers()
        sys.exit(1)


def _stopped(here: RunFolder, message: str, seconds: float) -> None:
    """Note an attempt that was asked to stop, and requeue its job if it is in a queue."""
    order = here.read_work_order()
    # The same signals announce preemption and the time limit; only the clock tells them apart.
    near_limit = 60 * order.timeout_minutes - seconds < 2 * order.signal_seconds
    kind = FailureKind.TIMED_OUT if near_limit else FailureKind.PREEMPTED
    step = here.checkpoint_step()
    here.write_failure(kind, f"{message}; goes on from step {step}")
    here.end_attempt(kind, seconds, step)
    ended = [attempt for attempt in here.attempts() if attempt["ended"] == kind]
    # An attempt that left no later checkpoint than the one before would only repeat itself.
    stuck = kind == FailureKind.TIMED_OUT and len(ended) > 1 and ended[-2].get("step") == step
    if len(ended) <= tries_allowed(order.retries, kind) and not stuck:
        requeue()


def _train(here: RunFolder, stop: StopFlag, seconds: Callable[[], float], inline: bool) -> None:
    order = here.read_work_order()
    _keep_compiled_code(home_of(here.path), order.threads)
    # torch takes seconds to import; a worker that finds its run done or taken does not pay for it.
    import torch

    from engram_sweep.corpus.shards import unchanged
    from engram_sweep.training.checkpoints import Checkpoints
    from engram_sweep.training.touched_rows import rows_touched, table_rows
    from engram_sweep.training.trackers import Tracking
    from engram_sweep.training.train import train

    torch.set_num_threads(order.threads)
    if order.gpus_per_node and torch.cuda.device_count() < order.devices:
        raise NodeError(
            f"launch.gpus: expected {order.gpus_per_node} per node, torch finds "
            f"{torch.cuda.device_count()} on {platform.node()}"
        )
    shards = unchanged(Path(order.shards), order.corpus_fingerprint, order.corpus_stamp)
    place = place_of(order)
    checkpoints = Checkpoints(here.checkpoints, 60 * order.checkpoint_minutes)
    result = train(
        order.spec,
        shards,
        here.path / "logs",
        report=lambda progress: here.write_progress({**asdict(progress), "seconds": seconds()}),
        checkpoints=checkpoints,
        stop=stop,
        place=place,
        progress_bar=inline and sys.stderr.isatty(),
        keep_weights=here.path if order.keep_weights else None,
        placement=order.placement,
        tracking=Tracking(order.trackers, home_of(here.path)),
    )
    if place.rank:
        return
    attempts = here.attempts()
    before = attempts[:-1]
    wall = seconds() + sum(attempt["seconds"] or 0 for attempt in before)
    now = datetime.now(UTC)
    values = {
        **asdict(result),
        **order.record_columns(),
        "table_rows": table_rows(order.spec),
        "rows_touched": rows_touched(
            order.spec,
            shards.train,
            shards.compression,
            result.steps,
            torch.device("cuda" if torch.cuda.is_available() else "cpu"),
        ),
        **code_state(),
        "restarts": len(before),
        "wall_seconds": wall,
        "gpu_hours": wall / 3600 * place.ranks if torch.cuda.is_available() else 0.0,
        "world_size": place.ranks,
        "corpus_fingerprint": shards.manifest.fingerprint,
        "tokenizer_fingerprint": shards.tokenizer_fingerprint(),
        "versions": versions(),
        "host": platform.node(),
        "driver": gpu_driver_version(),
        "started_at": datetime.fromisoformat(attempts[0]["started_at"]) if attempts else now,
        "finished_at": now,
    }
    write_record(here.record, values)
    # The record stands: what comes after it may fail without harm.
    with suppress(OSError):
        here.end_attempt("done", seconds(), result.steps)
        checkpoints.clear()


def _keep_compiled_code(home: Path, threads: int) -> None:
    """Let all runs of a sweep share what torch compiles, below a folder that is the user's own.

    Torch's own choice, which it makes when it is imported, is a path in /tmp that everybody knows,
    and what lies there is executed.

    Args:
        home: `<results>/<scale>`.
        threads: of this worker. With one, C++ is compiled by this process, not by a pool.
    """
    os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(home / "compiled"))
    os.environ.setdefault("TORCHINDUCTOR_COMPILE_THREADS", str(threads))
