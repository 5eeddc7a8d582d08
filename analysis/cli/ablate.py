"""`engram-sweep ablate`: which part of the Engram module is worth what."""

from __future__ import annotations

import argparse
from pathlib import Path

from analysis.cli.report import add_level_option, check_level, folder_beside
from engram_sweep.cli.options import add_set_option, changes_of, name_of


def register_ablate(subparsers) -> None:
    """Add `ablate`: a sentence for each variant, figure and table."""
    summary = "compare the variants of the Engram module (sweep.variants) with the whole one"
    parser = subparsers.add_parser("ablate", help=summary, description=summary)
    parser.add_argument(
        "scale",
        help="name of a sweep under the results folder, or a table NAME.parquet or NAME.csv",
    )
    add_set_option(parser)
    parser.add_argument(
        "--results", type=Path, default=Path("results"), help="results folder (default: results)"
    )
    add_level_option(parser, "all intervals together")
    parser.set_defaults(func=run_ablate)


def run_ablate(options: argparse.Namespace) -> int:
    """Print what each variant costs, and where its figure is.

    Raises:
        UserError: the sweep has no finished variants, or the folder cannot be written.
    """
    from analysis.report.inside_sections import FOLDER
    from analysis.report.write_ablation import write_ablation
    from analysis.runs.read import is_table, read_sweep

    check_level(options)
    name = options.scale if is_table(options.scale) else name_of(options.scale)
    runs = read_sweep(name, options.results, changes_of(options))
    folder = options.results / name
    if is_table(name):
        folder = folder_beside(Path(name))
    print("\n".join(write_ablation(runs, folder, name, options.level)))
    print(folder / FOLDER)
    return 0
