"""`engram-sweep export`: one table of all finished runs, to hand on."""

from __future__ import annotations

import argparse
from pathlib import Path

from engram_sweep.cli.options import add_command


def register(commands) -> None:
    """Add `export` to the command line."""
    summary = "one table of all finished runs, to hand on"
    command = add_command(commands, "export", summary, _export)
    command.add_argument(
        "file", type=Path, metavar="FILE.parquet", help="the table; fit --records reads it"
    )


def _export(options: argparse.Namespace) -> int:
    from engram_sweep.runs.records import export_runs

    print(f"{options.file}: {export_runs(options.scale, options.results, options.file)} runs")
    return 0
