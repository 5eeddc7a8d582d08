"""`engram-sweep inside`: what the measures inside a sweep's runs show."""

from __future__ import annotations

import argparse
from pathlib import Path

from analysis.cli.report import add_level_option, check_level
from engram_sweep.cli.options import add_set_option, changes_of, name_of
from engram_sweep.errors import UserError


def register_inside(subparsers) -> None:
    """Add `inside`: sentences, figures and tables of every measure that the runs have."""
    summary = "draw and say what the measures inside a sweep's runs show (strata and so on)"
    parser = subparsers.add_parser("inside", help=summary, description=summary)
    parser.add_argument("scale", help="name of a sweep under the results folder")
    add_set_option(parser)
    parser.add_argument(
        "--results", type=Path, default=Path("results"), help="results folder (default: results)"
    )
    parser.add_argument("--only", metavar="MEASURE", help="one measure, e.g. strata (default: all)")
    add_level_option(parser)
    parser.set_defaults(func=run_inside)


def run_inside(options: argparse.Namespace) -> int:
    """Print the sentences of every measure, and where its figures are.

    Raises:
        UserError: nothing was measured, or it cannot be analysed or written.
    """
    from analysis.report.inside_sections import FOLDER
    from analysis.report.write_inside import VIEWS, write_inside

    check_level(options)
    known = [view.measure for view in VIEWS]
    if options.only not in (None, *known):
        raise UserError(f"--only: expected one of {', '.join(known)}, got {options.only!r}")
    name, changes = name_of(options.scale), changes_of(options)
    said = write_inside(name, options.results, options.level, changes, options.only)
    print("\n".join(said))
    print(options.results / name / FOLDER)
    return 0
