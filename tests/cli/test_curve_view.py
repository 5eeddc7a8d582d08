from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from engram_sweep.cli.curve_view import (
    MAX_POINTS,
    PLOT_CELLS,
    curve_columns,
    duration,
    sentences,
    shown_points,
)
from engram_sweep.launch.forecast import Point
from engram_sweep.launch.status import RunStatus
from engram_sweep.planning.axes import AxisValues
from engram_sweep.planning.plan import make_plan
from tests.examples import scale

NOWHERE = AxisValues()


def plot_of(points: list[Point], ascii_only: bool = False) -> list[str]:
    return [str(cell) for cell in curve_columns(points, ascii_only)[-1].cells]


@given(st.lists(st.floats(0.5, 9), min_size=2, max_size=6, unique=True))
def test_marks_lie_in_the_order_of_the_losses(losses: list[float]) -> None:
    lines = plot_of([Point(NOWHERE, "engram", 0.5, 1, [loss]) for loss in losses])
    places = [line.index("●") for line in lines]
    ordered = [place for _, place in sorted(zip(losses, places, strict=True))]
    assert ordered == sorted(ordered)
    assert (min(places), max(places)) == (0, PLOT_CELLS - 1)


def test_every_run_is_a_small_mark_beside_the_mean() -> None:
    point = Point(NOWHERE, "engram", 0.5, 3, [1.0, 3.0])
    (line,) = plot_of([point])
    assert line == "·" + " " * 15 + "●" + " " * 14 + "·"
    assert plot_of([point], ascii_only=True) == [line.replace("·", ".").replace("●", "o")]
    assert plot_of([Point(NOWHERE, "engram", 0.5, 1, [1.0])]) == ["●"], "one loss has no span"


def test_a_large_sweep_shows_the_points_that_have_a_loss() -> None:
    none = [Point(NOWHERE, "engram", 0.5, 1)] * MAX_POINTS
    known = Point(NOWHERE, "engram", 0.25, 1, [1.0])
    assert shown_points(none) == []
    assert shown_points([known, *none[1:]]) == [known, *none[1:]]
    assert shown_points([known, *none]) == [known]
    assert shown_points([known] * (MAX_POINTS + 1)) == []


def test_each_condition_has_its_best_and_its_distance_to_pure_moe() -> None:
    plan = make_plan(
        scale(
            training__tokens=None,
            sweep__tokens_per_active=[2, 4],
            sweep__rho=[1.0, 0.6],
            sweep__seeds=[0],
        )
    )
    losses = {(2.0, "moe"): 3.0, (2.0, "engram"): 2.75, (4.0, "moe"): 2.5, (4.0, "engram"): 2.625}
    statuses = [
        RunStatus(
            run,
            "done",
            validation_loss=losses[float(run.axes.get("tokens_per_active") or 0), run.spec.arm],
        )
        for run in plan.runs
    ]
    rho = next(run.spec.rho for run in plan.runs if run.spec.arm == "engram")
    assert sentences(statuses) == [
        f"tokens_per_active 2.0: best so far: engram at rho {rho:.3f}, 2.7500 nats/token "
        "(1 of 1 runs), 0.2500 below rho = 1",
        "tokens_per_active 4.0: best so far: moe at rho 1.000, 2.5000 nats/token (1 of 1 runs)",
    ]


def test_durations() -> None:
    assert duration(None) == ""
    assert duration(430.4) == "0:07:10"
