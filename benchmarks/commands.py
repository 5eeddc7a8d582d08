"""How long what does not train takes.

Median CPU seconds of planning every scale, a fit with its draws, a report.

make bench
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from analysis.report.write import write_report
from analysis.simulation.sweeps import TRUTHS, Noise, simulate
from analysis.sweep.sweep_analysis import analyse_sweep
from engram_sweep.config.scale import load_scale, scale_names
from engram_sweep.planning.plan import make_plan

REPEATS = 5


def median_seconds(work: Callable[[], object]) -> float:
    times = []
    for _ in range(REPEATS):
        began = time.process_time()
        work()
        times.append(time.process_time() - began)
    return statistics.median(times)


def main() -> None:
    sweeps = Path("sweeps")
    for name in scale_names(sweeps):
        scale = load_scale(name, sweeps)
        print(
            f"plan {name:24s} {median_seconds(lambda scale=scale: make_plan(scale)):6.3f} s   "
            "(promise: 1 s)"
        )
    rho = np.linspace(0.2, 1, 9)
    table = simulate(TRUTHS["paper"], rho, 3, Noise(windows=64), np.random.default_rng(0))
    print(
        "fit, 2,000 draws, 9 x 3      "
        f"{median_seconds(lambda: analyse_sweep(table, draws=2000)):6.3f} s   (promise: 5 s)"
    )
    with tempfile.TemporaryDirectory() as folder:
        seconds = median_seconds(lambda: write_report(table, Path(folder), "bench"))
    print(f"report, 9 x 3                {seconds:6.3f} s   (promise: 10 s)")


if __name__ == "__main__":
    main()
