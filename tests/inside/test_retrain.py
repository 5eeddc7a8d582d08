from __future__ import annotations

import copy
from dataclasses import replace

import torch

from engram_sweep.inside.predictions import predict
from engram_sweep.inside.retrain import retrained
from engram_sweep.inside.suppress import zero_rows
from engram_sweep.inside.trained import Trained


def test_tables_and_the_runs_own_model_stay_as_they_are(run: Trained) -> None:
    before = copy.deepcopy(run.model.state_dict())
    without = retrained(run, zero_rows)
    assert all(torch.equal(value, before[name]) for name, value in run.model.state_dict().items())
    changed = {n for n, v in without.state_dict().items() if not torch.equal(v, before[n])}
    assert not any("engram.table" in name for name in changed)
    assert {"embedding.weight", "head.weight"} <= changed


def test_what_is_trained_without_the_memory_does_better_without_it(run: Trained) -> None:
    without = replace(run, model=retrained(run, zero_rows))
    assert predict(without, zero_rows).mean_loss < predict(run, zero_rows).mean_loss
    assert all(torch.isfinite(parameter).all() for parameter in without.model.parameters())
