"""A short piece of further training, with or without what the memory looks up.

A model that is deprived of its memory at once is worse than one that never had it: later blocks
wait for something that does not come. Trained on for a moment it loses that shock, and what stays
is what the memory was needed for. The same steps with the memory in place are the control.
"""

from __future__ import annotations

import copy

import torch

from engram_sweep.corpus.windows import train_batch
from engram_sweep.inside.predictions import Rows
from engram_sweep.inside.trained import Trained
from engram_sweep.model.transformer import Transformer
from engram_sweep.training.clipping import clip_
from engram_sweep.training.optimizers import make_optimizers, set_learning_rates

SHARE = 0.02
"""Of the run's steps."""
START = 0.3
"""Of the peak learning rate, at the first step; it falls straight to zero behind the last one."""


def retrained(run: Trained, rows: Rows | None) -> Transformer:
    """Train a copy of a run's model on, all but its tables, on the windows that came next.

    Args:
        run: the run.
        rows: changes what was looked up; None leaves it.

    Returns:
        The copy, in evaluation mode, as which it is trained too: routers keep their biases.
    """
    training, model = run.spec.training, copy.deepcopy(run.model)
    tables = {id(table) for table in model.tables()}
    dense = [p for p in model.parameters() if id(p) not in tables]
    # Tables keep their values: their optimizer, the only one that has them, never steps.
    optimizers = [
        one
        for one in make_optimizers(model, training)
        if not any(id(p) in tables for group in one.param_groups for p in group["params"])
    ]
    steps = max(1, round(SHARE * training.steps))
    for step in range(steps):
        batch = train_batch(
            run.shards.train,
            run.spec.seed,
            training.steps + step,
            training.batch_windows,
            training.window,
        )
        windows = torch.from_numpy(batch)
        inputs, targets = windows[:, :-1], windows[:, 1:]
        # Rows of the run's own model, which are the copy's.
        with torch.no_grad():
            looked_up = [memory.look_up(inputs) for memory in run.model.memories()]
        set_learning_rates(optimizers, START * (1 - step / steps))
        for optimizer in optimizers:
            optimizer.zero_grad(set_to_none=True)
        model(inputs, rows(looked_up) if rows else looked_up, targets).mean().backward()
        clip_(dense, training.clip_norm)
        for optimizer in optimizers:
            optimizer.step()
    return model
