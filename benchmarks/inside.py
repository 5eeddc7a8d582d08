"""What the measures inside finished runs cost: CPU seconds of one thread, and of a whole sweep.

python -m benchmarks.inside tiny --results results
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import torch

from engram_sweep.inside.measure import SUMMARIES, measure_of
from engram_sweep.inside.trained import open_run
from engram_sweep.runs.records import read_runs, runs_folder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("scale")
    parser.add_argument("--results", type=Path, default=Path("results"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    runs = read_runs(options.scale, options.results)
    with_memory = runs["params_table"] > 0
    totals = []
    for name in SUMMARIES:
        seconds = {}
        for kind, some in (
            ("with memory", runs.loc[with_memory]),
            ("without", runs.loc[~with_memory]),
        ):
            if len(some):
                folder = runs_folder(options.results, options.scale) / some["run_id"].iloc[0]
                start = time.process_time()
                measure_of(name).of_run(open_run(folder))
                seconds[kind] = (time.process_time() - start, len(some))
        totals.append(sum(each * count for each, count in seconds.values()))
        shown = ", ".join(f"{kind} {each:.1f}" for kind, (each, _) in seconds.items())
        print(f"{name:10s} CPU seconds a run: {shown}; {len(runs)} runs: {totals[-1] / 60:.1f} min")
    print(f"all: {sum(totals) / 120:.1f} minutes on two cores")


if __name__ == "__main__":
    main()
