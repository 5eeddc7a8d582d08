"""CPU seconds of the analysis: one curve, the laws over many runs, the next batch.

    OMP_NUM_THREADS=1 python -m benchmarks.analysis_time

Everything is simulated. CPU time, because other processes of the machine do not lengthen it.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import pandas as pd

from analysis.adaptive.look import look
from analysis.runs.conditions import split_conditions
from analysis.scaling.axes import axes_of
from analysis.scaling.raw_laws import fit_raw_laws
from analysis.scaling.run_laws import fit_longest_run_laws, runs_of_conditions
from analysis.simulation.adaptive import adaptive_design, trainer
from analysis.simulation.adaptive_worlds import ADAPTIVE_WORLDS
from analysis.simulation.sweeps import TRUTHS, Noise, Truth, simulate
from analysis.simulation.worlds import NINE
from analysis.sweep.sweep_analysis import analyse_sweep
from engram_sweep.planning.adaptive import pilot

WORLD = ADAPTIVE_WORLDS["exponential"]
LENGTHS = (5.0, 10.0, 20.0, 40.0)
FIT_DRAWS = 2000


def cpu_seconds(call: Callable[[], object]) -> float:
    """CPU seconds of the second call: the first one imports and fills caches."""
    call()
    began = time.process_time()
    call()
    return time.process_time() - began


def lengths_table(seeds: int) -> pd.DataFrame:
    """A table of 9 rho at four lengths."""
    rng, tables = np.random.default_rng(0), []
    for length in LENGTHS:
        truth = Truth("t", lambda rho, length=length: WORLD.loss(length, rho), has_u=True)
        table = simulate(truth, NINE, seeds, WORLD.noise, rng)
        tables.append(table.assign(tokens_per_active=length))
    return pd.concat(tables, ignore_index=True)


def main() -> int:
    rng = np.random.default_rng(0)
    curve = simulate(TRUTHS["paper"], NINE, 5, Noise(), rng)
    table = lengths_table(seeds=6)
    conditions = split_conditions(table, "table")
    sweeps = [analyse_sweep(one.runs, draws=50) for one in conditions]
    runs = runs_of_conditions(conditions, "tokens_per_active")
    design = adaptive_design(width=0.1)
    train = trainer(WORLD, design, rng)
    done = [train(*place) for place in pilot(design)]
    figures = {
        f"fit of 9 x 5, {FIT_DRAWS:,} draws": lambda: analyse_sweep(curve, draws=FIT_DRAWS),
        f"laws over {len(sweeps)} conditions of {len(table)} runs": lambda: fit_raw_laws(
            axes_of(conditions), sweeps
        ),
        f"laws over {len(runs.loss)} single runs": lambda: fit_longest_run_laws(
            runs, "tokens_per_active", 0.9
        ),
        f"look at {len(done)} runs and next batch": lambda: look(design, done, 1),
    }
    print("| what | CPU seconds |\n|---|---|")
    for name, call in figures.items():
        print(f"| {name} | {cpu_seconds(call):.2f} |", flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
