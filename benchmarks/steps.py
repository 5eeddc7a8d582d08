"""What benchmarks of the training step share: a step as runs train it, and timing by turns."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from torch import Tensor

from engram_sweep.config.scale import load_scale
from engram_sweep.corpus.shards import Shards
from engram_sweep.corpus.windows import train_batch
from engram_sweep.model.transformer import Transformer
from engram_sweep.planning.plan import make_plan
from engram_sweep.spec import RunSpec, TrainingSpec
from engram_sweep.training.clipping import clip_
from engram_sweep.training.lookups import Lookups
from engram_sweep.training.micro_batches import accumulate
from engram_sweep.training.optimizers import make_optimizers, schedule_factor, set_learning_rates

Clock = Callable[[], float]
Row = dict[str, str | float]
"""A figure: `case`, `variant`, `figure`, `unit`."""
SWEEPS = Path(__file__).resolve().parent.parent / "sweeps"


def tiny_along_rho() -> dict[float, RunSpec]:
    """Return a run of sweeps/tiny.yaml at each of its rho, by the rho that it asks for."""
    runs = make_plan(load_scale("tiny", SWEEPS)).runs
    return {run.allocation.rho_asked: run.spec for run in reversed(runs)}


class Stepper:
    """One run whose steps are timed; called with a step's windows (B, T + 1).

    Args:
        model: in training mode, where it trains.
        lookups: of its tables.
        training: the recipe.
    """

    def __init__(self, model: Transformer, lookups: Lookups, training: TrainingSpec) -> None:
        self.model, self.lookups, self.training = model, lookups, training
        self.optimizers = make_optimizers(model, training)
        tables = {id(table) for table in model.tables()}
        self.dense = [p for p in model.parameters() if id(p) not in tables]
        self.index = 0

    def __call__(self, windows: Tensor, upcoming: Tensor | None = None) -> None:
        t = self.training
        set_learning_rates(self.optimizers, schedule_factor(t, self.index))
        for optimizer in self.optimizers:
            optimizer.zero_grad(set_to_none=True)
        accumulate(self.model, windows, self.lookups, Tensor.backward, upcoming=upcoming)
        clip_(self.dense, t.clip_norm)
        for optimizer in self.optimizers:
            optimizer.step()
        for router in self.model.routers():
            router.rebalance(t.balance_rate)
        self.index += 1


def windows_of(spec: RunSpec, shards: Shards, step: int) -> Tensor:
    """Return the windows (B, T + 1) of a step of a run of one process."""
    t = spec.training
    return torch.from_numpy(train_batch(shards.train, spec.seed, step, t.batch_windows, t.window))


def medians(
    steps: Mapping[str, Callable[[int], object]],
    count: int,
    unmeasured: int,
    clock: Clock = time.process_time,
) -> dict[str, float]:
    """Time steps by turns in this process and return the median seconds of each.

    Args:
        steps: by name; called with the number of the turn.
        count: turns that are timed.
        unmeasured: turns before them, which compile and fill the optimizers' states.
        clock: CPU time of the process, or another.
    """
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for turn in range(unmeasured + count):
        for name, step in steps.items():
            began = clock()
            step(turn)
            if turn >= unmeasured:
                seconds[name].append(clock() - began)
    return {name: statistics.median(times) for name, times in seconds.items()}


def over(found: Mapping[str, float], name: str, base: str) -> list[Row]:
    """Return rows of two medians in milliseconds, and of the first over the second."""
    return [
        {"variant": name, "figure": 1e3 * found[name], "unit": "ms of CPU"},
        {"variant": base, "figure": 1e3 * found[base], "unit": "ms of CPU"},
        {"variant": f"{name} over {base}", "figure": found[name] / found[base], "unit": "x"},
    ]
