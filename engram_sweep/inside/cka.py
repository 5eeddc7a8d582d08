"""States for CKA (paper section 6.1.2): what each block hands on, at the same few positions.

Runs are compared with each other, so the measure of one run is its states; the comparison is made
from the tables, without a model. The paper takes the last token of each entity of Few-NERD; here
positions are spread evenly over the held-out text. The run's model at its random start is the
control: likeness that is there before training is none of training's.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import torch

from engram_sweep.inside.block_states import watched_blocks
from engram_sweep.inside.measure import Measure
from engram_sweep.inside.positions import positions_of
from engram_sweep.inside.trained import Trained
from engram_sweep.model.initialization import initialise
from engram_sweep.model.transformer import Transformer
from engram_sweep.runs.measure_schema import MEASURED

POSITIONS = 384
"""Held-out tokens whose states are kept, or as many as there are."""
TRAINED, START = "trained", "start"
SCHEMA = MEASURED["cka"].schema


@torch.inference_mode()
def states_at(run: Trained, model: Transformer, positions: np.ndarray) -> np.ndarray:
    """Return what every block hands on at some positions, (layers, n, D) float32.

    Args:
        run: whose held-out text is read.
        model: which reads it.
        positions: (n,) ascending indices of held-out inputs.
    """
    window, first, found = run.spec.training.window, 0, []
    for inputs, _ in run.held_out():
        last = first + inputs.numel()
        here = positions[(positions >= first) & (positions < last)] - first
        if len(here):
            # Only the windows that hold one of the positions.
            rows, of_row = np.unique(here // window, return_inverse=True)
            with watched_blocks(model) as states:
                model(inputs[rows])
            found.append([state[of_row, here % window].float().numpy() for state in states])
        first = last
    return np.concatenate(found, axis=1)


def _of_run(run: Trained) -> pa.Table:
    document = positions_of(run.spec, run.shards).document
    positions = np.unique(np.linspace(0, len(document) - 1, POSITIONS).astype(np.int64))
    memory = run.model.memories()
    compression = memory[0].rows.compression if memory else None
    start = Transformer(run.spec.geometry, compression).eval()
    initialise(start, run.spec.seed)
    tables = []
    for kind, model in ((TRAINED, run.model), (START, start)):
        for layer, states in enumerate(states_at(run, model, positions), start=1):
            columns = [
                [kind] * len(positions),
                np.full(len(positions), layer),
                positions,
                document[positions],
                list(states),
            ]
            tables.append(pa.table(columns, names=SCHEMA.names).cast(SCHEMA))
    return pa.concat_tables(tables)


MEASURE = Measure(name="cka", of_run=_of_run)
