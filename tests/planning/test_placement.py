from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engram_sweep.config.slurm import Shape
from engram_sweep.errors import UserError
from engram_sweep.placement import Placement
from engram_sweep.planning.gpus import GPUS
from engram_sweep.planning.placement import (
    fits,
    largest_run,
    mesh_of,
    needs,
    place,
    shape_of,
    smallest_mesh,
)
from engram_sweep.planning.plan import Plan, make_plan
from engram_sweep.planning.step_time import step_time
from tests.examples import load, scale

H100 = GPUS["h100"]


def plan_with(**launch) -> Plan:
    return make_plan(scale(launch={"gpu": "h100", **launch}))


@pytest.mark.parametrize(
    ("shard", "occupied", "mesh"),
    [
        ("node", Shape(4, 8, 8), (4, 8)),
        ("all", Shape(4, 8, 8), (1, 32)),
        (16, Shape(4, 8, 8), (2, 16)),
        (1, Shape(1, 4, 4), (4, 1)),
        ("node", Shape(), (1, 1)),
        ("node", Shape(2, 2), (2, 2)),
    ],
)
def test_a_mesh_is_copies_times_what_each_is_cut_over(
    shard: int | str, occupied: Shape, mesh: tuple[int, int]
) -> None:
    found = mesh_of(scale(launch__shard=shard).launch, occupied)
    assert (found.replicas, found.shards) == mesh


def test_a_mesh_that_the_processes_do_not_divide_is_one_line() -> None:
    says = (
        "launch.shard: expected node, all or a divisor of the 4 processes of a run (2 x 2), got 3"
    )
    with pytest.raises(UserError, match=re.escape(says)):
        mesh_of(scale(launch__shard=3).launch, Shape(2, 2))


def test_micro_batches_that_do_not_divide_a_step_are_one_line() -> None:
    says = "launch.micro_windows: expected a divisor of the 4 windows that each of 2 processes"
    with pytest.raises(UserError, match=says):
        place(plan_with(gpus=2, micro_windows=3), Shape(1, 2, 2))


def test_without_gpus_a_step_is_trained_at_once_unless_the_scale_says_otherwise() -> None:
    assert place(make_plan(scale()), Shape()) == Placement()
    asked = make_plan(scale(launch__micro_windows=2, launch__recompute=True))
    assert place(asked, Shape()) == Placement(micro_windows=2, recompute=True)


def test_what_is_small_trains_whole_steps_and_computes_nothing_twice() -> None:
    found = place(plan_with(), Shape(1, 1, 1))
    assert found is not None
    assert (found.micro_windows, found.recompute) == (8, False)


def test_the_paper_s_sweep_computes_blocks_again_in_the_largest_micro_batches_that_fit() -> None:
    plan = make_plan(load("10B"))
    found = place(plan, shape_of(plan.scale))
    assert found is not None
    assert (found.replicas, found.shards, found.micro_windows, found.recompute) == (4, 8, 15, True)
    assert fits(plan, found, H100)
    # Without recomputation only micro-batches fit that NVLink bounds.
    assert needs(plan, Placement(4, 8, 3, False, found.loss_chunk)).total > 72e9
    assert needs(plan, Placement(4, 8, 1, False, found.loss_chunk)).total < 72e9
    time = step_time(plan.runs[0], Placement(4, 8, 1), Shape(4, 8, 8), H100, 0.22)
    assert time.bound == "nvlink"


def test_what_the_scale_says_is_not_chosen_otherwise() -> None:
    whole = load("10B")
    launch = whole.launch.model_copy(update={"micro_windows": 1, "recompute": True})
    found = place(make_plan(whole.model_copy(update={"launch": launch})), Shape(4, 8, 8))
    assert found is not None
    assert (found.micro_windows, found.recompute) == (1, True)


def test_every_run_of_a_sweep_has_the_placement_of_the_one_that_needs_most() -> None:
    plan = make_plan(load("10B"))
    found = place(plan, Shape(4, 8, 8))
    assert found is not None
    most = needs(Plan(plan.scale, (largest_run(plan, found),)), found).total
    assert most == max(needs(Plan(plan.scale, (run,)), found).total for run in plan.runs[:17])


def test_the_smallest_mesh_fits_and_half_of_it_does_not() -> None:
    plan = make_plan(load("engram-40B"))
    found = smallest_mesh(plan, Shape(8, 8, 8), H100)
    assert found is not None
    shape, placement = found
    assert (shape.processes, placement.shards) == (16, 16)
    assert fits(plan, placement, H100)
    for replicas, shards in ((1, 8), (2, 8), (4, 4)):
        smaller = Placement(replicas, shards, 1, True, placement.loss_chunk)
        assert not fits(plan, smaller, H100)


@given(gpus=st.sampled_from([1, 2, 4, 8]), windows=st.sampled_from([8, 16, 24]))
def test_a_placement_fits_and_takes_all_windows(gpus: int, windows: int) -> None:
    launch = {"gpu": "h100", "gpus": gpus}
    plan = make_plan(scale(launch=launch, training__batch_windows=windows, sweep__rho=[1.0]))
    found = place(plan, Shape(1, gpus, gpus))
    assert found is not None
    assert found.processes == gpus
    assert windows // gpus % found.micro_windows == 0
    assert fits(plan, found, H100)
