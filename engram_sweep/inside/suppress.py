"""Suppression (paper section 6.3): the held-out loss without what the memory looks up.

The paper zeroes the module's output at inference and warns that the model never saw that in
training. Four controls take the warning apart: rows of other positions keep the size of what comes,
not its place; the mean row keeps neither; and a short piece of training, with the memory skipped
and with it in place, takes out the shock.
"""

from __future__ import annotations

from dataclasses import replace

import pyarrow as pa
import torch
from torch import Tensor

from engram_sweep.inside.measure import Measure
from engram_sweep.inside.positions import positions_of
from engram_sweep.inside.predictions import Rows, predict
from engram_sweep.inside.retrain import retrained
from engram_sweep.inside.tallies import tally
from engram_sweep.inside.trained import Trained
from engram_sweep.runs.measure_schema import MEASURED

MAX_POSITIONS = 2**17
"""Held-out tokens that the six modes read: of a longer text, windows spread evenly over it."""
SHUFFLE_SEED = 20260107372
SCHEMA = MEASURED["suppress"].schema


def zero_rows(looked_up: list[Tensor]) -> list[Tensor]:
    """Return rows of zeros, which skip the module: W_K and W_V have no biases, so it adds zero."""
    return [torch.zeros_like(e) for e in looked_up]


def shuffled_rows(looked_up: list[Tensor]) -> list[Tensor]:
    """Return each position's rows at another position of the batch, the same one in all modules."""
    shuffled = []
    for e in looked_up:
        generator = torch.Generator().manual_seed(SHUFFLE_SEED)
        flat = e.flatten(0, 1)
        shuffled.append(flat[torch.randperm(len(flat), generator=generator)].view_as(e))
    return shuffled


def mean_rows(run: Trained) -> Rows:
    """Return what puts the mean over all held-out positions in place of every position's rows."""
    sums, positions = [torch.zeros(1)] * len(run.model.memories()), 0
    with torch.inference_mode():
        for inputs, _ in run.held_out():
            looked_up = [memory.look_up(inputs) for memory in run.model.memories()]
            sums = [
                total + e.double().sum((0, 1)) for total, e in zip(sums, looked_up, strict=True)
            ]
            positions += inputs.numel()

    def replaced(looked_up: list[Tensor]) -> list[Tensor]:
        return [
            (total / positions).to(e.dtype).expand_as(e)
            for total, e in zip(sums, looked_up, strict=True)
        ]

    return replaced


def _of_run(run: Trained) -> pa.Table:
    window, held_out = run.spec.training.window, len(run.shards.validation)
    every = -(-held_out // MAX_POSITIONS)
    modes = {"whole": predict(run, every=every)}
    if run.model.memories():
        without, with_it = (replace(run, model=retrained(run, rows)) for rows in (zero_rows, None))
        modes |= {
            "skipped": predict(run, zero_rows, every),
            "shuffled": predict(run, shuffled_rows, every),
            "mean row": predict(run, mean_rows(run), every),
            "skipped, retrained": predict(without, zero_rows, every),
            "whole, retrained": predict(with_it, every=every),
        }
    positions = positions_of(run.spec, run.shards).of_windows(every, window)
    tables = []
    for mode, found in modes.items():
        table = tally(positions, {"loss": found.loss, "correct": found.correct})
        tables.append(table.append_column("mode", pa.array([mode] * len(table))))
    return pa.concat_tables(tables).cast(SCHEMA)


MEASURE = Measure(name="suppress", of_run=_of_run)
