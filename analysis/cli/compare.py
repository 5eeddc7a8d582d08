"""`engram-sweep compare A B`: two sweeps, or tables of runs, beside each other."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from analysis.cli.report import add_analysis_options, check_levels, made
from engram_sweep.cli.options import changes_of, name_of
from engram_sweep.errors import UserError

if TYPE_CHECKING:
    from analysis.sweep.sweep_analysis import SweepAnalysis


def register_compare(subparsers) -> None:
    """Add `compare`: the difference of two curves per rho, of their gains and of rho*."""
    parser = subparsers.add_parser("compare", help="say and draw how two sweeps differ")
    for place in ("first", "second"):
        parser.add_argument(
            place, metavar=place.upper(), help="a sweep, or a table NAME.parquet or NAME.csv"
        )
    parser.add_argument("--json", action="store_true", help="print one JSON object, write nothing")
    parser.add_argument(
        "--to",
        type=Path,
        metavar="FOLDER",
        help="where to write (default: compare-FIRST-SECOND in the results folder)",
    )
    add_analysis_options(parser)
    parser.set_defaults(func=run_compare)


def run_compare(options: argparse.Namespace) -> int:
    """Print one sentence and the page's path, or with --json everything.

    Raises:
        UserError: an option or a table makes no sense, or a table is more than one curve.
    """
    from analysis.report.comparison_sentences import comparison_json
    from analysis.report.write_comparison import write_comparison
    from analysis.sweep.comparison import compare

    check_levels(options)
    names = [Path(text).stem for text in (options.first, options.second)]
    if names[0] == names[1]:
        names = [options.first, options.second]
    found = compare(_one_curve(options.first, options), _one_curve(options.second, options))
    if options.json:
        print(json.dumps(comparison_json(found, *names), allow_nan=False))
        return 0
    stems = "-".join(Path(name).stem for name in names)
    folder = made(options.to or options.results / f"compare-{stems}")
    print(write_comparison(found, folder, *names))
    print(folder / "report.html")
    return 0


def _one_curve(text: str, options: argparse.Namespace) -> SweepAnalysis:
    """Return the one curve of a sweep or of a table.

    Raises:
        UserError: it cannot be read, or is none or several.
    """
    from analysis.runs.read import is_table, read_sweep
    from analysis.runs.slot_table import has_table_sizes
    from analysis.scaling.joint import analyse

    source = text if is_table(text) else name_of(text)
    table = read_sweep(source, options.results, changes_of(options))
    if has_table_sizes(table):
        raise UserError(f"{source}: expected a sweep over rho, got one over table sizes")
    joint = analyse(table, source, options.level, options.delta)
    if not joint.alone:
        curves = ", ".join(joint.labels)
        raise UserError(
            f"{source}: expected one curve to compare, got {len(joint.labels)}: {curves}"
        )
    return joint.sweeps[0]
