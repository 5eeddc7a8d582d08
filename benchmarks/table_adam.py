"""Seconds of one training step with `adam` on the tables, against `lazy_adam` and table sizes.

    .venv/bin/python -m benchmarks.table_adam

The model of sweeps/tiny.yaml at rho 0.5, on its text. Optimizers and tables are timed in turn, step
by step, in one process; figures are medians, after as many steps again that are not timed: tables
fill with rows that were ever touched, and that is what could make a step slower.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch

from benchmarks.steps import Stepper, medians, windows_of
from engram_sweep.config.scale import load_scale
from engram_sweep.corpus.shards import Shards, load, prepare
from engram_sweep.model.initialization import initialise
from engram_sweep.model.transformer import Transformer
from engram_sweep.planning.plan import make_plan
from engram_sweep.planning.primes import distinct_primes
from engram_sweep.spec import RunSpec
from engram_sweep.training.lookups import WholeLookups


def with_tables(spec: RunSpec, times: int) -> RunSpec:
    """The run with so many times the rows."""
    memory = spec.geometry.memory
    assert memory is not None
    heads = len(memory.rows) * len(memory.orders) * memory.heads
    rows = sum(memory.table_rows(i) for i in range(len(memory.rows)))
    primes = iter(distinct_primes(heads, times * rows))
    larger = tuple(
        tuple(tuple(next(primes) for _ in order) for order in table) for table in memory.rows
    )
    return replace(spec, geometry=replace(spec.geometry, memory=replace(memory, rows=larger)))


def stepper(spec: RunSpec, shards: Shards) -> Callable[[int], None]:
    model = Transformer(spec.geometry, torch.from_numpy(shards.compression))
    initialise(model, spec.seed)
    step = Stepper(model, WholeLookups(model), spec.training)
    return lambda turn: step(windows_of(spec, shards, turn))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=150)
    parser.add_argument(
        "--times", type=int, default=100, help="how much larger the larger table is"
    )
    parser.add_argument("--sweeps", type=Path, default=Path("sweeps"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    plan = make_plan(load_scale("tiny", options.sweeps))
    spec = next(run.spec for run in plan.runs if run.allocation.rho_asked == 0.5)
    with tempfile.TemporaryDirectory() as folder:
        shards = load(prepare(spec.corpus, Path(folder)))
        lazy = replace(spec, training=replace(spec.training, table_optimizer="lazy_adam"))
        adam = replace(spec, training=replace(spec.training, table_optimizer="adam"))
        steps = {
            "lazy_adam": stepper(lazy, shards),
            "adam": stepper(adam, shards),
            f"adam, {options.times} x the rows": stepper(with_tables(adam, options.times), shards),
        }
        found = medians(steps, options.steps, unmeasured=options.steps)
    lazy_median, adam_median, larger_median = found.values()
    for name, median in found.items():
        print(f"{name:26s} {1e3 * median:8.2f} ms of CPU a step")
    print(f"adam over lazy_adam        {adam_median / lazy_median:8.3f} x")
    print(f"larger table over tiny's   {larger_median / adam_median:8.3f} x")


if __name__ == "__main__":
    main()
