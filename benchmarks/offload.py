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
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from benchmarks.table_adam import with_tables
from engram_sweep.config.scale import load_scale
from engram_sweep.corpus.shards import Shards, load, prepare
from engram_sweep.corpus.windows import train_batch
from engram_sweep.placement import Placement
from engram_sweep.planning.plan import make_plan
from engram_sweep.spec import RunSpec
from engram_sweep.training.assembly import assemble
from engram_sweep.training.clipping import clip_
from engram_sweep.training.lookups import ExchangedLookups
from engram_sweep.training.micro_batches import accumulate
from engram_sweep.training.optimizers import make_optimizers, schedule_factor, set_learning_rates

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")


class Stepper:
    """One run whose steps are timed.

    Args:
        spec: the run.
        shards: its text.
        placement: where the tables lie.
    """

    def __init__(self, spec: RunSpec, shards: Shards, placement: Placement) -> None:
        self.spec, self.shards = spec, shards
        compression = torch.from_numpy(shards.compression)
        self.model, _, self.lookups = assemble(spec, compression, placement, None)
        self.model.to(DEVICE).train()
        self.optimizers = make_optimizers(self.model, spec.training)
        tables = {id(table) for table in self.model.tables()}
        self.dense = [p for p in self.model.parameters() if id(p) not in tables]

    def windows(self, step: int) -> Tensor:
        t = self.spec.training
        batch = train_batch(self.shards.train, self.spec.seed, step, t.batch_windows, t.window)
        return torch.from_numpy(batch)

    def step(self, index: int) -> None:
        t = self.spec.training
        set_learning_rates(self.optimizers, schedule_factor(t, index))
        for optimizer in self.optimizers:
            optimizer.zero_grad(set_to_none=True)
        upcoming = self.windows(index + 1)
        batch = self.windows(index).to(DEVICE)
        accumulate(self.model, batch, self.lookups, Tensor.backward, upcoming=upcoming)
        clip_(self.dense, t.clip_norm)
        for optimizer in self.optimizers:
            optimizer.step()

    def bytes_over_link(self) -> int:
        """Bytes of the last step's distinct rows and their gradients."""
        if not isinstance(self.lookups, ExchangedLookups):
            return 0
        widths = [table.shape[1] * table.element_size() for table in self.model.tables()]
        counts = [sum(exchange.asked) for exchange in self.lookups.exchanges]
        return 2 * sum(n * width for n, width in zip(counts, widths, strict=True))


def timed(step: Callable[[int], None], index: int) -> float:
    began = time.perf_counter()
    step(index)
    if DEVICE.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - began


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
        steppers = {
            "device": Stepper(spec, shards, Placement()),
            "host": Stepper(spec, shards, host),
            f"host, {options.times} x the rows": Stepper(larger, shards, host),
        }
        seconds: dict[str, list[float]] = {name: [] for name in steppers}
        for index in range(2 * options.steps):
            for name, stepper in steppers.items():
                took = timed(stepper.step, index)
                if index >= options.steps:
                    seconds[name].append(took)
        link = {name: stepper.bytes_over_link() for name, stepper in steppers.items()}
    medians = {name: statistics.median(times) for name, times in seconds.items()}
    simulated = DEVICE.type == "cpu"
    for name, median in medians.items():
        crossing = link[name] / (1e9 * options.link)
        note = f", link {1e3 * crossing:.3f} ms simulated" if simulated else ""
        print(f"{name:24s} {1e3 * median:8.2f} ms a step, {link[name]:,} bytes cross{note}")
    on_device, in_host, of_larger = (
        median + (link[name] / (1e9 * options.link) if simulated else 0.0)
        for name, median in medians.items()
    )
    print(f"host over device         {in_host / on_device:8.3f} x on {DEVICE.type}")
    print(f"larger over tiny's       {of_larger / in_host:8.3f} x")


if __name__ == "__main__":
    main()
