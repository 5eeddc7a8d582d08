"""When a sweep ends and what its curve looks like so far, from how its runs stand."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any

from engram_sweep.launch.status import RunStatus
from engram_sweep.planning.arms import is_variant
from engram_sweep.planning.axes import AxisValues

Condition = tuple[tuple[str, float | str], ...]
"""Values on the axes that make curves of their own, e.g. `(("tokens_per_active", 20.0),)`."""


@dataclass
class Point:
    """One arm at one rho, and the losses that are known of it."""

    axes: AxisValues
    arm: str
    rho: float
    planned: int = 0
    """Runs of it, one a seed."""
    losses: list[float] = field(default_factory=list)
    """Validation losses of finished runs that have one, nats/token."""

    @property
    def mean(self) -> float | None:
        """Mean of the losses, over whatever seeds are done; None if none is."""
        return fmean(self.losses) if self.losses else None

    @property
    def condition(self) -> Condition:
        """The curve that it lies on: table sizes are points of one curve."""
        return tuple(pair for pair in self.axes.values if pair[0] != "rows_per_head")

    def row(self) -> dict[str, Any]:
        """Return plain data for `--json`."""
        return {
            "arm": self.arm,
            "rho": self.rho,
            **self.axes.row(),
            "runs": self.planned,
            "done": len(self.losses),
            "validation_loss": self.mean,
        }


def curve_so_far(statuses: Sequence[RunStatus]) -> list[Point]:
    """Return every point of the sweep in the plan's order, with what is known of it."""
    points: dict[tuple[AxisValues, str, float], Point] = {}
    for status in statuses:
        run = status.run
        key = run.axes, run.spec.arm, run.spec.rho
        point = points.setdefault(key, Point(*key))
        point.planned += 1
        # A diverged run has no loss, and a NaN would hide the others of its point.
        loss = status.validation_loss
        if status.finished and loss is not None and loss == loss:
            point.losses.append(loss)
    return list(points.values())


def best_so_far(points: Sequence[Point]) -> dict[Condition, Point]:
    """Return the point of the lowest mean loss of each condition that has a loss, no variant."""
    best: dict[Condition, Point] = {}
    for point in points:
        if point.mean is None or is_variant(point.arm):
            continue
        rival = best.get(point.condition)
        if rival is None or rival.mean is None or point.mean < rival.mean:
            best[point.condition] = point
    return best


def seconds_to_end(statuses: Sequence[RunStatus]) -> float | None:
    """Return about how long the sweep still takes, None if nothing runs at a known speed.

    As many runs are taken to go on side by side as run now, at the FLOPs per second that they
    reach; validation and waiting in queues are not counted. Failed runs do not start again.
    """
    running = [status for status in statuses if status.state == "running"]
    known = [status for status in running if status.seconds_left is not None]
    if not known:
        return None
    flops_per_second = fmean(
        status.run.allocation.ledger.flops_per_token * (status.tokens_per_second or 0.0)
        for status in known
    )

    def whole(status: RunStatus) -> float:
        return status.run.flops / flops_per_second

    # When each worker is free; one whose speed is not known yet has just begun.
    free = [
        whole(status) if status.seconds_left is None else status.seconds_left for status in running
    ]
    heapq.heapify(free)
    waiting = [s for s in statuses if s.state in ("planned", "queued", "preempted")]
    for status in sorted(waiting, key=lambda status: status.run.place):
        done = (status.step or 0) / status.run.spec.training.steps
        heapq.heappush(free, heapq.heappop(free) + whole(status) * (1 - done))
    return max(free)
