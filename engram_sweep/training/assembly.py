"""The model of a run as its placement wants it, in one process or cut over several."""

from __future__ import annotations

import torch
from torch import Tensor

from engram_sweep.model.transformer import Transformer
from engram_sweep.placement import Placement
from engram_sweep.spec import RunSpec
from engram_sweep.training.compilation import compile_model, is_compiled
from engram_sweep.training.cuts import Cuts
from engram_sweep.training.layout import Layout
from engram_sweep.training.lookups import ExchangedLookups, Lookups, WholeLookups
from engram_sweep.training.sharding import sharded_model, table_sizes, whole_model


def assemble(
    spec: RunSpec, compression: Tensor | None, placement: Placement, layout: Layout | None
) -> tuple[Transformer, Cuts, Lookups]:
    """Build a run's model with its initial values; all processes of the run call it.

    Args:
        spec: the run.
        compression: (V,) int64 tokenizer compression map, if the model uses one.
        placement: how the run lies on its processes.
        layout: the processes, None for one alone.

    Returns:
        The model in training mode, how it is cut, and how rows of its tables are looked up.
    """
    host = placement.tables == "host"
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if layout is not None:
        device = layout.device
        model, cuts = sharded_model(spec, compression, layout)
    else:
        model, cuts = whole_model(spec, compression, host)
        if is_compiled(spec.training):
            compile_model(model)
    if spec.training.balance_loss:
        model.measure_balance()
    model.recompute, model.loss_chunk = placement.recompute, placement.loss_chunk
    lookups: Lookups = WholeLookups(model)
    if layout is not None or host:
        plans = layout.plans if layout is not None else None
        lookups = ExchangedLookups(model, table_sizes(spec), device, plans)
    return model, cuts, lookups
