"""`engram-sweep export`: one table of all finished runs, to hand on."""

from __future__ import annotations

import argparse
from pathlib import Path

from engram_sweep.cli.options import add_command, changes_of, name_of


def register(commands) -> None:
    """Add `export` to the command line."""
    summary = "one table of all finished runs, to hand on"
    command = add_command(commands, "export", summary, _export)
    command.add_argument(
        "file", type=Path, metavar="FILE", help="NAME.parquet or NAME.csv; fit --records reads both"
    )


def _export(options: argparse.Namespace) -> int:
    from engram_sweep.runs.records import export_runs

    runs = export_runs(name_of(options.scale), options.results, options.file, changes_of(options))
    print(f"{options.file}: {runs} runs")
    return 0
