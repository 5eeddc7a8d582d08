"""Depth (paper section 6.1.1): how far each block's state is from the final prediction.

LogitLens: the state behind a block goes through the model's own final norm and LM head. The paper
prints curves of a divergence to the final output and not its direction; here it is KL(final ||
block), the nats per token that coding by the block's prediction costs.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from engram_sweep.inside.block_states import watched_blocks
from engram_sweep.inside.measure import Measure
from engram_sweep.inside.positions import positions_of
from engram_sweep.inside.trained import Trained
from engram_sweep.model.transformer import Transformer
from engram_sweep.runs.measure_schema import MEASURED

MAX_POSITIONS = 2**15
"""Held-out tokens that are read: of a longer text, windows spread evenly over it."""
SCHEMA = MEASURED["depth"].schema


def divergences(model: Transformer, tokens: Tensor) -> list[Tensor]:
    """Return KL(final || block) at every position, one (B, T) per block, nats.

    Args:
        model: in evaluation mode.
        tokens: (B, T) int64.
    """
    with watched_blocks(model) as states:
        final = model(tokens).float().log_softmax(-1)
    found = []
    for state in states:
        read = model.head(model.norm(state)).float().log_softmax(-1)
        found.append((final.exp() * (final - read)).sum(-1))
    return found


@torch.inference_mode()
def _of_run(run: Trained) -> pa.Table:
    window = run.spec.training.window
    every = -(-len(run.shards.validation) // MAX_POSITIONS)
    document = positions_of(run.spec, run.shards).of_windows(every, window).document
    passes = [divergences(run.model, inputs) for inputs, _ in run.held_out(every)]
    tokens = np.bincount(document)
    there = np.flatnonzero(tokens)
    tables = []
    for layer, of_layer in enumerate(zip(*passes, strict=True), start=1):
        values = torch.cat([each.flatten() for each in of_layer]).double().numpy()
        sums = np.bincount(document, values)
        tables.append(
            pa.table(
                [np.full(len(there), layer), there, tokens[there], sums[there]], names=SCHEMA.names
            ).cast(SCHEMA)
        )
    return pa.concat_tables(tables)


MEASURE = Measure(name="depth", of_run=_of_run)
