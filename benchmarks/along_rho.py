"""Whether points of equal activated parameters take equal time: a step of tiny along rho.

    .venv/bin/python -m benchmarks.along_rho

The runs of sweeps/tiny.yaml as they train, eagerly, on one CPU thread; all points in turn, step by
step, in one process; figures are medians of CPU time. The first batches of the text are trained on,
so that routers are as they are in a run.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import torch

from benchmarks.results import keep, print_rows
from benchmarks.steps import Row, medians, over, tiny_along_rho
from benchmarks.tables import whole_step
from engram_sweep.corpus.shards import Shards, load, prepare
from engram_sweep.planning.ledger import ledger


def figures(shards: Shards, steps: int) -> list[Row]:
    """Time a step at each rho and return what `results.keep` takes."""
    runs = tiny_along_rho()
    found = medians(
        {f"rho {rho:g}": whole_step(spec, shards) for rho, spec in runs.items()},
        steps,
        unmeasured=max(2, steps // 4),
    )
    flops = {
        f"rho {rho:g}": ledger(spec.geometry, spec.training.window).flops_per_token
        for rho, spec in runs.items()
    }
    rows: list[Row] = []
    for name in [name for name in found if name != "rho 1"]:
        seconds = over(found, name, "rho 1")
        arithmetic = over(flops, name, "rho 1")[-1] | {"unit": "x the arithmetic"}
        rows += [{"case": "step, tiny", **row} for row in (*seconds, arithmetic)]
    return rows


def main(words: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--keep", action="store_true", help="into docs/performance.md")
    options = parser.parse_args(words)
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        shards = load(prepare(tiny_along_rho()[0.0].corpus, Path(folder)))
        rows = figures(shards, options.steps)
    print_rows(rows)
    if options.keep:
        keep("python -m benchmarks.along_rho --keep", rows)


if __name__ == "__main__":
    main()
