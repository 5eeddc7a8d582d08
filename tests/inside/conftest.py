from __future__ import annotations

from pathlib import Path

import pytest
import torch

from engram_sweep.corpus.shards import Shards
from engram_sweep.inside.trained import Trained
from engram_sweep.planning.plan import Plan
from engram_sweep.spec import run_id
from engram_sweep.training.train import train
from engram_sweep.training.weights import load_trained
from tests.training.conftest import short_spec


@pytest.fixture(scope="session")
def run(smoke_plan: Plan, shards: Shards, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """One short run of the smoke scale with a memory, trained for real."""
    return trained_run(smoke_plan, shards, 0.5, tmp_path_factory.mktemp("inside"))


@pytest.fixture(scope="session")
def moe_run(smoke_plan: Plan, shards: Shards, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """One without."""
    return trained_run(smoke_plan, shards, 1.0, tmp_path_factory.mktemp("inside"))


def trained_run(plan: Plan, shards: Shards, rho: float, home: Path) -> Trained:
    torch.set_num_threads(1)
    spec = short_spec(plan, rho)
    folder = home / run_id(spec)
    folder.mkdir()
    result = train(spec, shards, home / "logs", keep_weights=folder)
    model, spec = load_trained(folder)
    return Trained(folder, spec, model, shards, result.validation_loss)
