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


def register(commands) -> None:
    """Add `status` to the command line."""
    command = add_command(commands, "status", "how every run stands", _status)
    how = command.add_mutually_exclusive_group()
    how.add_argument("--json", action="store_true", help="one JSON object")
    how.add_argument(
        "--watch",
        action="store_true",
        help="until all are finished; when piped, one line per change",
    )


def register_cancel(commands) -> None:
    """Add `cancel` to the command line."""
    summary = "stop the queued and running jobs of this sweep, whoever submitted them"
    add_command(commands, "cancel", summary, _cancel)


def _status(options: argparse.Namespace) -> int:
    from engram_sweep.launch.status import Survey, counts

    plan = begun_plan_of(options)
    survey = Survey(plan, options.results)
    if options.watch:
        return _watch(survey)
    statuses = survey.poll(settle=True)
    if options.json:
        rows = [status.row() for status in statuses]
        print(json.dumps({"scale": plan.scale.name, "counts": counts(statuses), "runs": rows}))
    else:
        from engram_sweep.cli import status_view

        status_view.print_status(plan.scale.name, statuses)
    return 0


def _watch(survey: Survey) -> int:
    from engram_sweep.cli import status_view

    with status_view.Watch(survey.plan) as watch:
        while True:
            statuses = survey.poll()
            watch.update(statuses)
            if all(status.finished for status in statuses):
                break
            time.sleep(WATCH_SECONDS)
    status_view.print_outcome(survey.plan.scale.name, statuses, trained=watch.updates > 1)
    return 0


def _cancel(options: argparse.Namespace) -> int:
    from engram_sweep.launch.cancel import cancel

    scale = scale_of(options)
    stopped = cancel(scale.name, options.results)
    print(f"{scale.name}: {stopped} jobs stopped")
    return 0
