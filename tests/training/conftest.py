from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from engram_sweep.corpus.shards import Shards
from engram_sweep.planning.plan import Plan
from engram_sweep.spec import Geometry, RunSpec
from engram_sweep.training.cuts import Cuts
from engram_sweep.training.observed import Progress
from engram_sweep.training.run_state import RunState
from engram_sweep.training.train import train
from tests.model.shapes import GEOMETRIES, build


def spec_of(plan: Plan, rho: float = 0.5, **training: object) -> RunSpec:
    spec = next(run.spec for run in plan.runs if run.allocation.rho_asked == rho)
    return replace(spec, training=replace(spec.training, **{"tokens": 12 * 1024, **training}))


def state_of_a_model() -> RunState:
    """The smallest state that a checkpoint can hold."""
    model = build(GEOMETRIES["moe"])
    return RunState(model, Cuts(model, []))


def short_spec(plan: Plan, rho: float, **training: object) -> RunSpec:
    return spec_of(plan, rho, **{"tokens": 8192, **training})


def spec_with(plan: Plan, geometry: Geometry, **training: object) -> RunSpec:
    """A short run of a small shape of the tests."""
    spec = plan.runs[0].spec
    short = {"batch_windows": 8, "window": 12, "tokens": 96 * 10, **training}
    return replace(spec, geometry=geometry, training=replace(spec.training, **short))


@pytest.fixture(scope="session")
def trained(smoke_plan: Plan, shards: Shards, tmp_path_factory: pytest.TempPathFactory):
    """One short run of the smoke scale at rho 0.5: its result, its logs, what it reported."""
    torch.set_num_threads(1)
    logs = tmp_path_factory.mktemp("logs")
    reports: list[Progress] = []
    return train(short_spec(smoke_plan, 0.5), shards, logs, reports.append), logs, reports
