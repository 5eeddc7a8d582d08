"""`engram-sweep fit` and `engram-sweep report`."""

import argparse
import json
from pathlib import Path

import pandas as pd

from analysis.report.joint_sentences import (
    joint_json,
    parse_place,
    prediction_sentence,
    state_joint,
)
from analysis.report.numbers import as_json
from analysis.report.verdict_sentences import state_verdict
from analysis.report.write import write_sweep_report
from analysis.report.write_joint import write_joint_report
from analysis.scaling.joint import analyse
from analysis.sweep.sweep_analysis import DELTA, LEVEL
from engram_sweep.errors import UserError
from engram_sweep.runs.records import read_parquet, read_runs


def register_fit(subparsers) -> None:
    """Add `fit`: curve, intervals and verdict of every condition, and their joint law."""
    parser = subparsers.add_parser("fit", help="fit the loss over rho and say what it shows")
    parser.add_argument("scale", nargs="*", help="names of sweeps under the results folder")
    parser.add_argument(
        "--records",
        type=Path,
        nargs="+",
        metavar="FILE.parquet",
        help="any tables of runs instead of sweeps",
    )
    parser.add_argument(
        "--at", action="append", default=[], metavar="C=6e20,...",
        help="predict rho* and the gain of a condition that was not trained: values of C (budget "
        "in FLOPs), total_over_active, tokens_per_active; may be given several times",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    _common(parser)
    parser.set_defaults(func=run_fit)


def register_report(subparsers) -> None:
    """Add `report`: figures, summary.parquet and report.html of one sweep."""
    parser = subparsers.add_parser("report", help="draw and write up a sweep")
    parser.add_argument("scale", help="name of a sweep under the results folder")
    _common(parser)
    parser.set_defaults(func=run_report)


def _common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--results", type=Path, default=Path("results"), help="results folder (default: results)"
    )
    parser.add_argument(
        "--level", type=float, default=LEVEL, help=f"coverage of intervals (default: {LEVEL})"
    )
    parser.add_argument(
        "--delta",
        type=float,
        default=DELTA,
        help=f"nats/token that count as near-optimal (default: {DELTA})",
    )


def run_fit(options: argparse.Namespace) -> int:
    """Print the verdict of every condition and what they say together, or with --json everything.

    Raises:
        UserError: the options or the table of runs make no sense.
    """
    _check(options)
    if bool(options.scale) == bool(options.records):
        raise UserError("fit: expected either a scale or --records FILE.parquet, not both")
    places = [parse_place(text) for text in options.at]
    if options.records:
        tables = [read_parquet(path) for path in options.records]
    else:
        tables = [read_runs(scale, options.results) for scale in options.scale]
    source = " + ".join(map(str, options.records or options.scale))
    joint = analyse(pd.concat(tables, ignore_index=True), source, options.level, options.delta)
    if places and joint.scaling is None:
        raise UserError(f"--at: {joint.reason}")
    if joint.alone:
        numbers = as_json(joint.sweeps[0])
        print(json.dumps(numbers, allow_nan=False) if options.json else numbers["sentence"])
    elif options.json:
        print(json.dumps(joint_json(joint, places), allow_nan=False))
    else:
        told = (
            [prediction_sentence(joint.scaling, place, joint.raw) for place in places]
            if joint.scaling
            else []
        )
        for name, one in zip(joint.labels, joint.sweeps, strict=True):
            print(f"{name}: {state_verdict(one).sentence}")
        print("\n".join([*state_joint(joint), *told]))
    return 0


def run_report(options: argparse.Namespace) -> int:
    """Write the report and print the verdict's sentence, or all sentences, and the page's path.

    Raises:
        UserError: the options or the table of runs make no sense, or the folder cannot be written.
    """
    _check(options)
    joint = analyse(
        read_runs(options.scale, options.results), options.scale, options.level, options.delta
    )
    folder = options.results / options.scale
    if joint.alone:
        print(write_sweep_report(joint.sweeps[0], folder, options.scale).sentence)
    else:
        print("\n".join(write_joint_report(joint, folder, options.scale)))
    print(folder / "report.html")
    return 0


def _check(options: argparse.Namespace) -> None:
    if not 0.5 <= options.level < 1:
        raise UserError(f"--level: expected a share from 0.5 to below 1, got {options.level:g}")
    if not options.delta > 0:
        raise UserError(f"--delta: expected a positive number of nats/token, got {options.delta:g}")
