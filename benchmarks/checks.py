"""What the checks of a shared results folder cost a sweep and a worker, in CPU seconds (medians).

python -m benchmarks.checks
"""

from __future__ import annotations

import statistics
import subprocess
import tempfile
import time
from pathlib import Path

from benchmarks.commands import median_seconds
from engram_sweep.config.scale import load_scale
from engram_sweep.corpus.shards import load, prepare, stamp, unchanged, verified
from engram_sweep.launch import snapshot
from engram_sweep.launch.status import Survey, folder_of
from engram_sweep.launch.sweep import _refuse_foreign
from engram_sweep.launch.worker_command import BOOTSTRAP
from engram_sweep.own_folders import own_folder
from engram_sweep.planning.plan import make_plan
from engram_sweep.runs.provenance import code_state


def main() -> None:
    scale = load_scale("tiny")
    plan = make_plan(scale)
    with tempfile.TemporaryDirectory() as folder:
        results = Path(folder)
        home = own_folder(results / scale.name)
        for run in plan.runs:
            folder_of(run, results).path.mkdir(parents=True, mode=0o700)
        todo = Survey(plan, results).poll()
        code = snapshot.take(home / "code", code_state())
        shards = prepare(plan.runs[0].spec.corpus, results / "corpora")
        stamped, fingerprint = stamp(shards), load(shards).manifest.fingerprint
        megabytes = sum(path.stat().st_size for path in shards.iterdir()) / 1e6
        opening = BOOTSTRAP.partition("from engram_sweep")[0]
        words = ["python3", "-P", "-c", opening, str(home), code.name, "x"]
        rows = {
            f"sweep: folders of {len(plan.runs)} runs": lambda: _refuse_foreign(
                plan, results, todo
            ),
            "sweep: the snapshot, file by file": lambda: snapshot.take(home / "code", code_state()),
            f"sweep: the corpus ({megabytes:.0f} MB), digested": lambda: verified(shards),
            "worker: the corpus, by size and time": lambda: unchanged(shards, fingerprint, stamped),
        }
        for name, work in rows.items():
            print(f"{name:45s} {median_seconds(work):7.4f} s")
        # python's own start is no check: it is taken off.
        bare = children_seconds(["python3", "-P", "-c", "import os, sys"])
        print(
            f"{'worker: its folder, before it imports':45s} {children_seconds(words) - bare:7.4f} s"
        )


def children_seconds(words: list[str]) -> float:
    """Median wall-clock seconds of a short process."""
    times = []
    for _ in range(9):
        began = time.perf_counter()
        subprocess.run(words, check=True)
        times.append(time.perf_counter() - began)
    return statistics.median(times)


if __name__ == "__main__":
    main()
