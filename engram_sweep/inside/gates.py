"""Gates (paper section 6.5): how far they open, over the whole held-out text.

The paper shows eight gates per token for hand-picked sentences. Here every gate is summed by
stratum, with the sums that a correlation needs: with the logarithm of how often training showed the
n-gram, and with what the memory gains at the token (its loss with the module skipped minus that
with it).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from engram_sweep.inside.measure import Measure
from engram_sweep.inside.positions import positions_of
from engram_sweep.inside.predictions import predict
from engram_sweep.inside.suppress import zero_rows
from engram_sweep.inside.tallies import tally
from engram_sweep.inside.trained import Trained
from engram_sweep.model.engram import Engram
from engram_sweep.model.transformer import Transformer
from engram_sweep.runs.measure_schema import MEASURED

SCHEMA = MEASURED["gates"].schema


@contextmanager
def watched_gates(model: Transformer) -> Iterator[dict[int, list[Tensor]]]:
    """Collect the gates of every forward pass.

    Yields:
        By block, one tensor (B, T, M) per pass, M being 1 without residual streams.
    """
    found: dict[int, list[Tensor]] = {}
    hooks = []
    for number, block in enumerate(model.blocks):
        engram = block.engram
        if not isinstance(engram, Engram):
            continue
        found[number] = []

        def watch(module: Engram, inputs: tuple[Tensor, Tensor], at: int = number) -> None:
            h, e = inputs
            gate = module.gate(h, e.type_as(h)).float()
            found[at].append(gate if gate.ndim == 3 else gate[..., None])

        hooks.append(engram.register_forward_pre_hook(watch))
    try:
        yield found
    finally:
        for hook in hooks:
            hook.remove()


def _of_run(run: Trained) -> pa.Table:
    with watched_gates(run.model) as watched:
        whole = predict(run)
    run.check_loss(whole.mean_loss)
    # A module without a gate lets everything in: there is nothing to measure.
    gated = {at: passes for at, passes in watched.items() if _has_gate(run.model, at)}
    if not gated:
        return SCHEMA.empty_table()
    gain = predict(run, zero_rows).loss.astype(float) - whole.loss
    positions = positions_of(run.spec, run.shards)
    shown = {order: np.log1p(np.maximum(c, 0)) for order, c in positions.counts.items()}
    tables = []
    for block, passes in gated.items():
        gates = torch.cat([gate.flatten(0, 1) for gate in passes]).double().numpy()
        for stream, gate in enumerate(gates.T):
            table = tally(
                positions,
                {
                    "gate": gate,
                    "gate2": gate**2,
                    "log_count": shown,
                    "log_count2": {order: c**2 for order, c in shown.items()},
                    "gate_log_count": {order: gate * c for order, c in shown.items()},
                    "gain": gain,
                    "gain2": gain**2,
                    "gate_gain": gate * gain,
                },
            )
            for name, value in (("block", block), ("stream", stream)):
                table = table.append_column(name, pa.array([value] * len(table)))
            tables.append(table)
    return pa.concat_tables(tables).cast(SCHEMA)


def _has_gate(model: Transformer, block: int) -> bool:
    engram = model.blocks[block].engram
    return isinstance(engram, Engram) and engram.gated


MEASURE = Measure(name="gates", of_run=_of_run)
