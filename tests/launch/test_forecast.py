from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engram_sweep.launch.forecast import best_so_far, curve_so_far, seconds_to_end
from engram_sweep.launch.status import RunStatus
from engram_sweep.planning.arms import is_variant
from engram_sweep.planning.plan import Plan, PlannedRun, make_plan
from tests.examples import scale

SPEED = 1000.0
"""Tokens per second."""


@pytest.fixture(scope="module")
def dense_plan() -> Plan:
    """Runs of one length: strict holds FLOPs, rho 1 alone holds them to the digit."""
    return make_plan(scale(sweep__rho=[1.0], sweep__seeds=list(range(12))))


def running(run: PlannedRun, share: float, speed: float = SPEED) -> RunStatus:
    steps = run.spec.training.steps
    return RunStatus(
        run, "running", step=round(share * steps), steps=steps, tokens_per_second=speed, live=True
    )


def test_a_speed_that_would_take_a_lifetime_is_none(dense_plan: Plan) -> None:
    """Somebody's progress.json; the terminal and the driver show a duration."""
    status = running(dense_plan.runs[0], 0.5, speed=1e-300)
    assert status.seconds_left is None
    assert seconds_to_end([status]) is None


def whole(run: PlannedRun) -> float:
    return run.tokens / SPEED


def test_nothing_that_runs_at_a_known_speed_gives_no_forecast(dense_plan: Plan) -> None:
    run = dense_plan.runs[0]
    assert seconds_to_end([RunStatus(run, "planned")]) is None
    assert seconds_to_end([RunStatus(run, "running", step=0, steps=9, live=True)]) is None
    assert seconds_to_end([RunStatus(run, "done", validation_loss=1.0)]) is None


def test_waiting_runs_go_to_the_worker_that_is_free_first(dense_plan: Plan) -> None:
    a, b, c, d, *_ = dense_plan.runs
    half, full = running(a, 0.5), running(b, 0.0)
    left = half.seconds_left or 0.0
    found = seconds_to_end([half, full, RunStatus(c, "planned"), RunStatus(d, "planned")])
    assert found == pytest.approx(max(left + whole(c), whole(b) + whole(d)))


def test_what_a_checkpoint_holds_is_not_trained_again(dense_plan: Plan) -> None:
    a, b, *_ = dense_plan.runs
    steps = b.spec.training.steps
    stopped = RunStatus(b, "preempted", step=steps // 2, steps=steps)
    now = running(a, 0.0)
    assert seconds_to_end([now, stopped]) == pytest.approx(
        whole(a) + whole(b) * (1 - steps // 2 / steps)
    )


def test_failed_runs_do_not_start_again(dense_plan: Plan) -> None:
    a, b, *_ = dense_plan.runs
    assert seconds_to_end([running(a, 0.0), RunStatus(b, "failed")]) == pytest.approx(whole(a))


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 4), st.integers(0, 8))
def test_equal_runs_go_in_rounds(dense_plan: Plan, workers: int, waiting: int) -> None:
    runs = dense_plan.runs
    statuses = [running(run, 0.0) for run in runs[:workers]]
    statuses += [RunStatus(run, "queued", live=True) for run in runs[workers : workers + waiting]]
    rounds = 1 + math.ceil(waiting / workers)
    assert seconds_to_end(statuses) == pytest.approx(rounds * whole(runs[0]))


def test_the_curve_so_far_is_the_mean_over_what_is_done(smoke_plan: Plan) -> None:
    losses = {run.run_id: 2.0 + place / 8 for place, run in enumerate(smoke_plan.runs[:4])}
    statuses = [
        RunStatus(run, "done", validation_loss=losses[run.run_id])
        if run.run_id in losses
        else RunStatus(run, "planned")
        for run in smoke_plan.runs
    ]
    points = curve_so_far(statuses)
    assert sum(point.planned for point in points) == len(smoke_plan.runs)
    for point in points:
        own = [
            losses[run.run_id]
            for run in smoke_plan.runs
            if run.run_id in losses and (run.spec.arm, run.spec.rho) == (point.arm, point.rho)
        ]
        assert point.losses == own
        assert point.mean == (pytest.approx(sum(own) / len(own)) if own else None)
    (best,) = best_so_far(points).values()
    assert best.mean == min(point.mean for point in points if point.mean is not None)
    assert points[0].row()["done"] == len(points[0].losses)


def test_a_variant_is_shown_and_never_the_best() -> None:
    plan = make_plan(scale(sweep__variants={"no_gate": {"memory.gate": False}}))
    points = curve_so_far(
        [
            RunStatus(run, "done", validation_loss=1.0 if is_variant(run.spec.arm) else 2.0)
            for run in plan.runs
        ]
    )
    assert {point.arm for point in points} == {"moe", "engram", "engram/no_gate"}
    (best,) = best_so_far(points).values()
    assert (best.arm, best.mean) == ("moe", 2.0)


def test_a_diverged_run_hides_no_other(smoke_plan: Plan) -> None:
    first, *_ = smoke_plan.runs
    twin = next(run for run in smoke_plan.runs[1:] if run.spec.rho == first.spec.rho)
    (point,) = curve_so_far(
        [
            RunStatus(first, "diverged", validation_loss=math.nan),
            RunStatus(twin, "done", validation_loss=2.5),
        ]
    )
    assert (point.mean, point.planned) == (2.5, 2)
