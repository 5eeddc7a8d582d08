"""CPU seconds of a sweep beyond its steps, a run, by how local workers start.

    .venv/bin/python -m benchmarks.sweep_overhead

Runs of sweeps/tiny.yaml cut to a few steps are swept as a user sweeps them, with workers that are
forked from a process which has imported torch, and with workers that start by themselves. What is
left of a run then is its overhead: start, model, checkpoint, validation, record, and its share of
the driver. Seconds are those of every process of the sweep, as /proc counts them; the steps of a
whole run are timed in this process. A worker has one thread and a core, so on an idle machine the
ratios are those of wall-clock too.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import torch

from benchmarks.results import keep, print_rows
from benchmarks.steps import SWEEPS, Row, medians, tiny_along_rho
from benchmarks.tables import whole_step
from engram_sweep.corpus.shards import load, prepare

RHO = 0.5
CALL = """
import sys
from engram_sweep.cli.main import main
from engram_sweep.launch.executors.local import LocalExecutor
if sys.argv.pop(1) == "alone":
    LocalExecutor._fork_server = lambda self, folder: None
sys.exit(main(sys.argv[1:]))
"""
SAMPLE_SECONDS = 0.02


def cpu_seconds(words: list[str]) -> float:
    """Return the CPU seconds of a command and of all that it starts.

    They are read while it runs: what a process does in its last 0.02 s is missed.
    """
    process = subprocess.Popen(words, start_new_session=True, stdout=subprocess.DEVNULL)
    ticks: dict[str, int] = {}
    while process.poll() is None:
        for entry in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                # Behind the name: state, parent, group; user and system time are 12th and 13th.
                fields = (entry / "stat").read_text().rpartition(") ")[2].split()
                if int(fields[2]) == process.pid:
                    ticks[entry.name] = int(fields[11]) + int(fields[12])
        time.sleep(SAMPLE_SECONDS)
    if process.returncode:
        sys.exit(f"{words[-1]}: exit code {process.returncode}")
    return sum(ticks.values()) / os.sysconf("SC_CLK_TCK")


def overhead(how: str, runs: int, steps: int, folder: Path) -> float:
    """Return the CPU seconds per run of a sweep of short runs."""
    t = tiny_along_rho()[RHO].training
    changes = {
        "training.tokens": steps * t.batch_windows * t.window,
        "sweep.rho": [RHO],
        "sweep.seeds": list(range(runs)),
        "sweep.anchor_seeds": [],
    }
    sets = [f"{key}={value}" for key, value in changes.items()]
    words = [sys.executable, "-c", CALL, how, "sweep", "tiny", "--sweeps", str(SWEEPS)]
    words += ["--results", str(folder / how), *(word for each in sets for word in ("--set", each))]
    return cpu_seconds(words) / runs


def main(words: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=8)
    parser.add_argument("--steps", type=int, default=2, help="of a run of the short sweep")
    parser.add_argument("--timed", type=int, default=30, help="steps that are timed")
    parser.add_argument("--keep", action="store_true", help="into docs/performance.md")
    options = parser.parse_args(words)
    torch.set_num_threads(1)
    spec = tiny_along_rho()[RHO]
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        shards = load(prepare(spec.corpus, folder))
        step = medians({"step": whole_step(spec, shards)}, options.timed, unmeasured=5)["step"]
        whole = step * spec.training.steps
        for how in ("alone", "forked"):
            beyond = overhead(how, options.runs, options.steps, folder) - options.steps * step
            rows.append(
                {"variant": f"{how}, beyond its steps", "figure": beyond, "unit": "s of CPU"}
            )
            ratio = (whole + beyond) / whole
            rows.append({"variant": f"{how}, all over steps", "figure": ratio, "unit": "x"})
    rows = [{"case": f"a run of tiny, {whole:.0f} s of steps", **row} for row in rows]
    print_rows(rows)
    if options.keep:
        keep("python -m benchmarks.sweep_overhead --keep", rows)


if __name__ == "__main__":
    main()
