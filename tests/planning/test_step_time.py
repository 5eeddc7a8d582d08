from __future__ import annotations

from dataclasses import replace

import pytest

from engram_sweep.config.slurm import Shape
from engram_sweep.placement import Placement
from engram_sweep.planning.gpus import GPUS
from engram_sweep.planning.plan import PlannedRun, make_plan
from engram_sweep.planning.step_time import step_time
from tests.examples import load

H100 = GPUS["h100"]
NODES = Shape(4, 8, 8)


@pytest.fixture(scope="module")
def anchor() -> PlannedRun:
    return next(run for run in make_plan(load("10B")).runs if run.spec.rho == 1)


def test_compute_is_flops_over_the_sustained_peak(anchor: PlannedRun) -> None:
    found = step_time(anchor, Placement(4, 8), NODES, H100, 0.22)
    flops = 15 * 4096 * anchor.allocation.ledger.flops_per_token
    assert found.compute == pytest.approx(flops / (0.22 * 989.5e12))
    assert (found.bound, found.seconds) == ("compute", found.compute)


def test_small_micro_batches_are_bound_by_the_link(anchor: PlannedRun) -> None:
    found = step_time(anchor, Placement(4, 8, micro_windows=1), NODES, H100, 0.22)
    assert found.bound == "nvlink"
    assert found.seconds == found.nvlink > found.compute


@pytest.mark.parametrize("mfu", [0.1, 0.22, 0.4])
def test_compute_bounds_from_the_named_micro_batch_on(anchor: PlannedRun, mfu: float) -> None:
    enough = step_time(anchor, Placement(4, 8), NODES, H100, mfu).compute_bound_windows
    bounds = {
        size: step_time(anchor, Placement(4, 8, micro_windows=size), NODES, H100, mfu).bound
        for size in (1, 3, 5, 15)
    }
    by_compute = {size for size, bound in bounds.items() if bound == "compute"}
    assert by_compute == {size for size in bounds if size >= enough}


def test_no_micro_batch_hides_a_link_that_is_slow(anchor: PlannedRun) -> None:
    found = step_time(anchor, Placement(4, 8), NODES, replace(H100, network=1e9), 0.4)
    assert (found.bound, found.compute_bound_windows) == ("network", 0)


def test_the_step_waits_for_rows() -> None:
    run = next(run for run in make_plan(load("10B")).runs if run.spec.rho < 0.3)
    found = step_time(run, Placement(4, 8), NODES, H100, 0.22)
    assert found.seconds == found.compute + found.rows > found.compute
