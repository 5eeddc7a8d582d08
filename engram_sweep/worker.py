"""What a worker process does with one run folder: train, write the record. Returns nothing; the folder says it all."""

from __future__ import annotations

import errno
import platform
import sys
import time
import traceback
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from engram_sweep.provenance import git_commit, versions
from engram_sweep.records import write_record
from engram_sweep.runfolder import Busy, RunFolder
from engram_sweep.spec import RunSpec, canonical_json


def run(folder: str, progress_bar: bool = False) -> None:
    """Train the run of a folder unless it is done or another worker is at it.

    A failure is noted in the folder (class, message, last lines) and does not raise: the driver reads it there.

    Args:
        folder: the run folder, holding `run.json`.
        progress_bar: show Lightning's progress bar (inline runs).
    """
    here = RunFolder(Path(folder))
    try:
        with here.held():
            if not here.is_done():
                here.start_attempt()
                _train(here, progress_bar)
    except Busy:
        print(f"run {here.run_id} is already being trained by another worker", file=sys.stderr)
    except Exception as error:
        traceback.print_exc()
        sys.stderr.flush()
        here.write_failure(failure_kind(error), f"{type(error).__name__}: {error}".splitlines()[0])


def failure_kind(error: BaseException) -> str:
    """The class of a failure: out of memory, node (disk), bad data or bug."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return "out of memory"
    if isinstance(error, OSError):
        return "out of memory" if error.errno == errno.ENOMEM else "node"
    return "bad data" if isinstance(error, ValueError) else "bug"


def _train(here: RunFolder, progress_bar: bool) -> None:
    # torch takes seconds to import; a worker that finds its run done or taken does not pay for it.
    import torch

    from engram_sweep.corpus.shards import load
    from engram_sweep.training.train import train

    started, clock = datetime.now(UTC), time.monotonic()
    spec, job = here.read_job()
    torch.set_num_threads(job["threads"])
    shards = load(Path(job["shards"]))
    result = train(spec, shards, here.path / "logs", lambda p: here.write_progress(asdict(p)), progress_bar)
    values = {
        **asdict(result),
        **_asked(here, spec, job),
        "corpus_fingerprint": shards.manifest.fingerprint,
        "git_commit": git_commit(),
        "versions": versions(),
        "host": platform.node(),
        "started_at": started,
        "finished_at": datetime.now(UTC),
        "wall_seconds": time.monotonic() - clock,
    }
    write_record(here.record, values)


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
