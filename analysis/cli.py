"""`engram-sweep fit` and `engram-sweep report`."""

import argparse
import json
from pathlib import Path

import pandas as pd

from analysis.report import write_report
from analysis.study import DELTA, LEVEL, study
from analysis.summary import as_json
from engram_sweep.errors import UserError
from engram_sweep.records import read_parquet, read_runs


def register_fit(subparsers) -> None:
    """Adds `fit`: the curve, its intervals and the verdict of one table of runs."""
    parser = subparsers.add_parser("fit", help="fit the loss over rho and say what it shows")
    parser.add_argument("scale", nargs="?", help="name of a sweep under the results folder")
    parser.add_argument("--records", type=Path, metavar="FILE.parquet", help="any table of runs instead of a sweep")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    _common(parser)
    parser.set_defaults(func=run_fit)


def register_report(subparsers) -> None:
    """Adds `report`: figures, summary.parquet and report.html of one sweep."""
    parser = subparsers.add_parser("report", help="draw and write up a sweep")
    parser.add_argument("scale", help="name of a sweep under the results folder")
    _common(parser)
    parser.set_defaults(func=run_report)


def _common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--results", type=Path, default=Path("results"), help="results folder (default: results)")
    parser.add_argument("--level", type=float, default=LEVEL, help=f"coverage of intervals (default: {LEVEL})")
    parser.add_argument(
        "--delta", type=float, default=DELTA, help=f"nats/token that count as near-optimal (default: {DELTA})"
    )


def run_fit(options: argparse.Namespace) -> int:
    """Prints the verdict, or with --json everything.

    Raises:
        UserError: the options or the table of runs make no sense.
    """
    _check(options)
    if (options.scale is None) == (options.records is None):
        raise UserError("fit: expected either a scale or --records FILE.parquet, not both")
    if options.records is not None:
        table: pd.DataFrame = read_parquet(options.records)
        source = str(options.records)
    else:
        table, source = read_runs(options.scale, options.results), options.scale
    numbers = as_json(study(table, source, options.level, options.delta))
    print(json.dumps(numbers, allow_nan=False) if options.json else numbers["sentence"])
    return 0


def run_report(options: argparse.Namespace) -> int:
    """Writes the report and prints the verdict's sentence and the page's path.

    Raises:
        UserError: the options or the table of runs make no sense, or the folder cannot be written.
    """
    _check(options)
    table = read_runs(options.scale, options.results)
    folder = options.results / options.scale
    _, verdict = write_report(table, folder, options.scale, options.level, options.delta)
    print(verdict.sentence)
    print(folder / "report.html")
    return 0


def _check(options: argparse.Namespace) -> None:
    if not 0.5 <= options.level < 1:
        raise UserError(f"--level: expected a share from 0.5 to below 1, found {options.level:g}")
    if not options.delta > 0:
        raise UserError(f"--delta: expected a positive number of nats/token, found {options.delta:g}")
