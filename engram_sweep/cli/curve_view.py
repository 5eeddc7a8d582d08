"""The curve of a sweep as far as it is known, as a table on the terminal with a small plot."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from engram_sweep.cli.tables import Column
from engram_sweep.launch.forecast import Condition, Point, best_so_far, curve_so_far, seconds_to_end
from engram_sweep.launch.status import RunStatus
from engram_sweep.planning.arms import MOE
from engram_sweep.planning.axes import AXES

PLOT_CELLS = 32
"""Width of the plot; the lowest and the highest loss of the sweep are its ends."""
MAX_POINTS = 60
"""A sweep with more points shows only those that have a loss; with more of these, the best only."""


def curve_columns(points: Sequence[Point], ascii_only: bool = False) -> list[Column]:
    """Return the columns of a table with one line for each point of the sweep.

    Args:
        points: the curve so far, of one condition or of several.
        ascii_only: draw with ASCII letters.
    """
    best = best_so_far(points)
    known = [loss for point in points for loss in point.losses]
    ends = (min(known), max(known)) if known else None
    axes = [axis for axis in AXES.values() if any(axis.key in dict(p.axes.values) for p in points)]
    return [
        *(Column(axis.plan_label, [_value(p, axis.key) for p in points]) for axis in axes),
        Column("arm", [p.arm for p in points], rank=3, right=False),
        Column("rho", [f"{p.rho:.3f}" for p in points]),
        Column("done", [f"{len(p.losses)}/{p.planned}" for p in points], rank=1),
        Column("mean loss", ["" if p.mean is None else f"{p.mean:.4f}" for p in points]),
        Column("above best", [_above(p, best.get(p.condition)) for p in points], rank=1),
        Column("plot", [_plot(p, ends, ascii_only) for p in points], rank=2, right=False),
    ]


def shown_points(points: Sequence[Point]) -> list[Point]:
    """Return the points that a terminal has room for; none before the first loss."""
    known = [point for point in points if point.losses]
    if not known or len(known) > MAX_POINTS:
        return []
    return list(points) if len(points) <= MAX_POINTS else known


def sentences(statuses: Sequence[RunStatus]) -> list[str]:
    """Return the best rho so far of every condition, and when the sweep ends."""
    points = curve_so_far(statuses)
    ends = {point.condition: point.mean for point in points if point.arm == MOE.key}
    said = [
        _best_sentence(condition, point, ends.get(condition))
        for condition, point in best_so_far(points).items()
    ]
    if (left := seconds_to_end(statuses)) is not None:
        said.append(f"about {duration(left)} to the end of the sweep")
    return said


def duration(seconds: float | None) -> str:
    """Return a duration as `0:07:10`, nothing if it is not known."""
    return "" if seconds is None else str(timedelta(seconds=round(seconds)))


def _best_sentence(condition: Condition, point: Point, moe: float | None) -> str:
    where = ", ".join(f"{key} {value}" for key, value in condition)
    prefix = f"{where}: " if where else ""
    size = point.axes.rows_per_head
    at = f"rho {point.rho:.3f}" if size is None else f"rho {point.rho:.3f}, {size} rows a head"
    words = f"{prefix}best so far: {point.arm} at {at}, {point.mean:.4f} nats/token"
    words += f" ({len(point.losses)} of {point.planned} runs)"
    if moe is not None and point.mean is not None and point.arm != MOE.key:
        words += f", {moe - point.mean:.4f} below rho = 1"
    return words


def _value(point: Point, key: str) -> str:
    value = point.axes.get(key)
    if value is None:
        return ""
    return f"{value:g}" if isinstance(value, float) else str(value)


def _above(point: Point, best: Point | None) -> str:
    if point.mean is None or best is None or best.mean is None:
        return ""
    return "best" if point is best else f"{point.mean - best.mean:.4f}"


def _plot(point: Point, ends: tuple[float, float] | None, ascii_only: bool) -> str:
    """Return one line of the plot: a small mark for each run, a large one for their mean."""
    if point.mean is None or ends is None:
        return ""
    low, high = ends
    span = high - low

    def cell(loss: float) -> int:
        return round((loss - low) / span * (PLOT_CELLS - 1)) if span else 0

    run_mark, mean_mark = (".", "o") if ascii_only else ("·", "●")
    line = [" "] * PLOT_CELLS
    for loss in point.losses:
        line[cell(loss)] = run_mark
    line[cell(point.mean)] = mean_mark
    return "".join(line).rstrip()
