"""`engram-sweep strata` and the other measures inside the finished runs of a sweep."""

from __future__ import annotations

import argparse
import sys
from functools import partial
from pathlib import Path

from engram_sweep.cli.options import add_set_option, changes_of, name_of
from engram_sweep.errors import UserError
from engram_sweep.inside.measure import REFUSING, SUMMARIES


def register(commands) -> None:
    """Add a command for each measure to the command line."""
    for name, summary in SUMMARIES.items():
        command = commands.add_parser(name, help=summary, description=summary)
        command.add_argument("scale", help="name of a sweep under the results folder")
        add_set_option(command)
        command.add_argument(
            "--results",
            type=Path,
            default=Path("results"),
            help="results folder (default: results)",
        )
        command.add_argument(
            "--jobs", type=int, default=0, help="processes (default: one per core)"
        )
        if name in REFUSING:
            command.add_argument(
                "--anyway", action="store_true", help="measure also runs that can show nothing"
            )
        command.set_defaults(func=partial(_measure, name), anyway=False)


def _measure(measure: str, options: argparse.Namespace) -> int:
    from engram_sweep.inside.sweep import measure_sweep

    if options.jobs < 0:
        raise UserError(f"--jobs: expected 0 or more, got {options.jobs}")
    scale, shows = name_of(options.scale), sys.stderr.isatty()

    def watch(done: int, total: int) -> None:
        if shows:
            print(f"\r{measure}: {done} of {total} runs", end="", file=sys.stderr, flush=True)

    found = measure_sweep(
        scale, options.results, measure, changes_of(options), options.jobs, watch, options.anyway
    )
    if shows and found.measured:
        print(file=sys.stderr)
    print(
        f"{measure}: {found.measured} runs of {scale} measured, {found.known} were; "
        f"engram-sweep inside {scale} says what they show"
    )
    return 0
