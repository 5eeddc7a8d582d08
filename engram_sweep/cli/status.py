"""`engram-sweep status` and `cancel`: how every run stands, and stopping them."""

from __future__ import annotations

import argparse
import json
import time
from typing import TYPE_CHECKING

from engram_sweep.cli.options import add_command, begun_plan_of, scale_of

if TYPE_CHECKING:
    from engram_sweep.launch.status import Survey

WATCH_SECONDS = 2
"""Time between two looks of `status --watch`."""
MAX_IDLE_LOOKS = 3
"""`status --watch` ends if nothing ran so many times: between two attempts nothing does once."""


def register(commands) -> None:
    """Add `status` to the command line."""
    command = add_command(commands, "status", "how every run stands", _status)
    how = command.add_mutually_exclusive_group()
    how.add_argument("--json", action="store_true", help="one JSON object")
    how.add_argument(
        "--watch",
        action="store_true",
        help="until all are finished or nothing runs; when piped, one line per change",
    )


def register_cancel(commands) -> None:
    """Add `cancel` to the command line."""
    summary = "stop the queued and running jobs of this sweep, whoever submitted them"
    add_command(commands, "cancel", summary, _cancel)


def _status(options: argparse.Namespace) -> int:
    from engram_sweep.launch.forecast import curve_so_far, seconds_to_end
    from engram_sweep.launch.status import Survey, counts

    plan = begun_plan_of(options)
    survey = Survey(plan, options.results)
    if options.watch:
        return _watch(survey)
    statuses = survey.poll(settle=True)
    if options.json:
        rows = [status.row() for status in statuses]
        data = {
            "scale": plan.scale.name,
            "counts": counts(statuses),
            "runs": rows,
            "curve": [point.row() for point in curve_so_far(statuses)],
            "seconds_left": seconds_to_end(statuses),
        }
        print(json.dumps(data))
    else:
        from engram_sweep.cli import status_view

        status_view.print_status(plan.scale.name, statuses)
    return 0


def _watch(survey: Survey) -> int:
    """Show a sweep until all runs are finished or nothing runs; return 1 if a run has failed."""
    from engram_sweep.cli import status_view
    from engram_sweep.cli.watch_view import Watch

    idle, scale = 0, survey.plan.scale
    with Watch(survey.plan) as watch:
        while True:
            statuses = survey.poll()
            watch.update(statuses)
            left = sum(not status.finished for status in statuses)
            idle = 0 if any(status.live for status in statuses) else idle + 1
            if not left or idle == MAX_IDLE_LOOKS:
                break
            time.sleep(WATCH_SECONDS)
    status_view.print_outcome(scale.name, statuses, trained=watch.updates > 1)
    if left:
        changes = "".join(f" --set {change}" for change in scale.changes)
        print(
            f"nothing runs or waits in a queue; engram-sweep sweep {scale.name}{changes} trains "
            f"the {left} runs that are left"
        )
    return int(any(status.state == "failed" for status in statuses))


def _cancel(options: argparse.Namespace) -> int:
    from engram_sweep.launch.cancel import cancel

    scale = scale_of(options)
    stopped = cancel(scale.name, options.results)
    print(f"{scale.name}: {stopped} jobs stopped")
    return 0
