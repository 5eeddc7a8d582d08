"""Seconds of one training step with n-gram tables in the host's memory, against the device's.

    .venv/bin/python -m benchmarks.offload

The model of sweeps/tiny.yaml at rho 0.5, on its text; placements and tables are timed in turn, step
by step, in one process, and figures are medians. With a GPU the rows really cross the link. Without
one, host and device are the same memory: what is measured is the way by plans and distinct rows,
and the link is simulated, by the bytes that would cross it at `--link` GB/s, with nothing behind
which it could hide.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch

from benchmarks.steps import Stepper, medians, windows_of
from benchmarks.tables import with_tables
from engram_sweep.config.scale import load_scale
from engram_sweep.corpus.shards import Shards, load, prepare
from engram_sweep.placement import Placement
from engram_sweep.planning.plan import make_plan
from engram_sweep.spec import RunSpec
from engram_sweep.training.assembly import assemble
from engram_sweep.training.lookups import ExchangedLookups

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")


def stepper(spec: RunSpec, shards: Shards, placement: Placement) -> Stepper:
    """A run whose tables lie where the placement says."""
    model, _, lookups = assemble(spec, torch.from_numpy(shards.compression), placement, None)
    return Stepper(model.to(DEVICE).train(), lookups, spec.training)


def turn_of(step: Stepper, spec: RunSpec, shards: Shards) -> Callable[[int], None]:
    def turn(index: int) -> None:
        upcoming = windows_of(spec, shards, index + 1)
        step(windows_of(spec, shards, index).to(DEVICE), upcoming)

    return turn


def bytes_over_link(step: Stepper) -> int:
    """Bytes of the last step's distinct rows and their gradients."""
    if not isinstance(step.lookups, ExchangedLookups):
        return 0
    widths = [table.shape[1] * table.element_size() for table in step.model.tables()]
    counts = [sum(exchange.asked) for exchange in step.lookups.exchanges]
    return 2 * sum(n * width for n, width in zip(counts, widths, strict=True))


def clock() -> float:
    """Wall time, once the device has done what it was given."""
    if DEVICE.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--times", type=int, default=100, help="rows of the larger tables")
    parser.add_argument("--link", type=float, default=25.0, help="GB/s, simulated on a CPU")
    parser.add_argument("--sweeps", type=Path, default=Path("sweeps"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    plan = make_plan(load_scale("tiny", options.sweeps))
    spec = next(run.spec for run in plan.runs if run.allocation.rho_asked == 0.5)
    with tempfile.TemporaryDirectory() as folder:
        shards = load(prepare(spec.corpus, Path(folder)))
        larger = with_tables(spec, options.times)
        host = Placement(tables="host")
        runs = {
            "device": (spec, Placement()),
            "host": (spec, host),
            f"host, {options.times} x the rows": (larger, host),
        }
        steppers = {name: stepper(run, shards, where) for name, (run, where) in runs.items()}
        turns = {name: turn_of(steppers[name], run, shards) for name, (run, _) in runs.items()}
        found = medians(turns, options.steps, unmeasured=options.steps, clock=clock)
        link = {name: bytes_over_link(step) for name, step in steppers.items()}
    simulated = DEVICE.type == "cpu"
    for name, median in found.items():
        crossing = link[name] / (1e9 * options.link)
        note = f", link {1e3 * crossing:.3f} ms simulated" if simulated else ""
        print(f"{name:24s} {1e3 * median:8.2f} ms a step, {link[name]:,} bytes cross{note}")
    on_device, in_host, of_larger = (
        median + (link[name] / (1e9 * options.link) if simulated else 0.0)
        for name, median in found.items()
    )
    print(f"host over device         {in_host / on_device:8.3f} x on {DEVICE.type}")
    print(f"larger over tiny's       {of_larger / in_host:8.3f} x")


if __name__ == "__main__":
    main()
