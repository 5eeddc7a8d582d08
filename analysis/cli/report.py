"""`engram-sweep fit` and `engram-sweep report`."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from analysis.levels import DELTA, LEVEL, MAX_LEVEL, MAX_LOSS
from engram_sweep.cli.options import add_set_option, changes_of, name_of
from engram_sweep.errors import UserError
from engram_sweep.planning.axes import ISO_MODES

if TYPE_CHECKING:
    import pandas as pd


def register_fit(subparsers) -> None:
    """Add `fit`: curve, intervals and verdict of every condition, and their joint law."""
    parser = subparsers.add_parser("fit", help="fit the loss over rho and say what it shows")
    parser.add_argument("scale", nargs="*", help="names of sweeps under the results folder")
    add_records_option(parser, "sweeps")
    parser.add_argument(
        "--at", action="append", default=[], metavar="C=6e20,...",
        help="predict rho* and the gain of a condition that was not trained: values of C (budget "
        "in FLOPs), total_over_active, tokens_per_active; may be given several times",
    )  # fmt: skip
    parser.add_argument(
        "--iso",
        choices=ISO_MODES,
        help="of sweeps with a strict and a paper's curve, fit this one only",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    add_analysis_options(parser)
    parser.set_defaults(func=run_fit)


def register_report(subparsers) -> None:
    """Add `report`: figures, summary.parquet and report.html of one sweep."""
    parser = subparsers.add_parser("report", help="draw and write up a sweep")
    parser.add_argument("scale", nargs="?", help="name of a sweep under the results folder")
    add_records_option(parser, "a sweep")
    parser.add_argument(
        "--to",
        type=Path,
        metavar="FOLDER",
        help="where to write (default: the sweep's folder, NAME-report beside a table)",
    )
    add_analysis_options(parser)
    parser.set_defaults(func=run_report)


def add_records_option(parser: argparse.ArgumentParser, instead_of: str) -> None:
    """Add `--records`, which `read_tables` reads.

    Args:
        parser: of the command.
        instead_of: what the tables stand for.
    """
    parser.add_argument(
        "--records",
        type=Path,
        nargs="+",
        metavar="FILE",
        help=f"any tables of runs instead of {instead_of}, NAME.parquet or NAME.csv",
    )


def add_analysis_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of every command that analyses sweeps."""
    add_set_option(parser)
    parser.add_argument(
        "--results", type=Path, default=Path("results"), help="results folder (default: results)"
    )
    add_level_options(parser)


def add_level_option(parser: argparse.ArgumentParser, of: str = "intervals") -> None:
    """Add `--level`, which `check_level` checks.

    Args:
        parser: of the command.
        of: what the level is the coverage of.
    """
    parser.add_argument(
        "--level", type=float, default=LEVEL, help=f"coverage of {of} (default: {LEVEL})"
    )


def add_level_options(parser: argparse.ArgumentParser) -> None:
    """Add `--level` and `--delta`, which `check_levels` checks."""
    add_level_option(parser)
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
    from analysis.report.joint_sentences import (
        joint_json,
        parse_place,
        prediction_sentence,
        state_joint,
    )
    from analysis.report.numbers import as_json
    from analysis.report.verdict_sentences import state_verdict
    from analysis.runs.slot_table import has_table_sizes
    from analysis.scaling.joint import analyse

    check_levels(options)
    places = [parse_place(text) for text in options.at]
    table, source = _asked_table("fit", options.scale, options)
    if has_table_sizes(table):
        return _fit_slots(table, source, options)
    adaptive = any(_is_adaptive(name, options) for name in options.scale)
    joint = analyse(table, source, options.level, options.delta, options.iso, adaptive)
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
    from analysis.report.inside_sections import read_inside
    from analysis.report.registered_plan import registered_sentence
    from analysis.report.write import write_sweep_report
    from analysis.report.write_joint import write_joint_report
    from analysis.report.write_slots import write_slots_report
    from analysis.runs.slot_table import has_table_sizes
    from analysis.scaling.joint import analyse
    from analysis.slots.slots_analysis import analyse_slots
    from engram_sweep.runs.design_note import read_design

    check_levels(options)
    table, called = _asked_table("report", [options.scale] if options.scale else [], options)
    folder = _folder(options)
    kept, design = None, None
    if options.scale:
        name, changes = name_of(options.scale), changes_of(options)
        asked = (options.level, options.delta)
        kept = registered_sentence(name, options.results, changes, table, *asked)
        design = read_design(name, options.results, changes)
    inside = read_inside(folder, table)
    if has_table_sizes(table):
        slots = analyse_slots(table, called, options.level)
        lines = write_slots_report(slots, made(folder), called, kept, inside.html)
    else:
        adaptive = design is not None
        joint = analyse(table, called, options.level, options.delta, adaptive=adaptive)
        if joint.alone:
            alone = joint.sweeps[0]
            lines = [write_sweep_report(alone, made(folder), called, kept, inside.html).sentence]
        else:
            lines = write_joint_report(joint, made(folder), called, kept, design, inside.html)
    lines += [line for line in (kept, inside.left_out) if line]
    print("\n".join([*lines, str(folder / "report.html")]))
    return 0


def _folder(options: argparse.Namespace) -> Path:
    """Return where a report is written."""
    if options.to is not None:
        return options.to
    if options.records:
        return folder_beside(options.records[0])
    return options.results / name_of(options.scale)


def folder_beside(table: Path) -> Path:
    """Return where what is written about a table of runs goes, if nothing else is asked for."""
    return table.with_name(f"{table.stem}-report")


def made(folder: Path) -> Path:
    """Make a folder if it is not there yet and return it.

    Raises:
        UserError: it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = error.strerror or error
        raise UserError(f"{folder}: expected a folder to write into: {reason}") from None
    return folder


def _asked_table(
    command: str, scales: list[str], options: argparse.Namespace
) -> tuple[pd.DataFrame, str]:
    """Return the table that a command is asked about, and what to call it.

    Args:
        command: its name, for messages.
        scales: names of sweeps; none if `--records` names tables.
        options: of the command.

    Raises:
        UserError: neither a sweep nor a file is named, or both are, or one cannot be read.
    """
    import pandas as pd

    from engram_sweep.runs.records import read_runs

    if not scales and not options.records:
        raise UserError(f"{command}: expected the name of a sweep, or --records FILE, got neither")
    if scales and options.records:
        raise UserError(f"{command}: expected either names of sweeps or --records FILE, got both")
    if options.records and options.changes:
        raise UserError(f"{command}: expected --set beside names of sweeps, got --records FILE")
    if options.records:
        return read_tables(options.records)
    names, changes = list(map(name_of, scales)), changes_of(options)
    tables = [read_runs(name, options.results, changes) for name in names]
    return pd.concat(tables, ignore_index=True), _called(" + ".join(names), changes)


def read_tables(paths: Sequence[Path]) -> tuple[pd.DataFrame, str]:
    """Return the runs of all tables, and what to call them.

    Raises:
        UserError: one cannot be read.
    """
    import pandas as pd

    from engram_sweep.runs.table_files import read_table

    table = pd.concat([read_table(path) for path in paths], ignore_index=True)
    return table, " + ".join(map(str, paths))


def _is_adaptive(name: str, options: argparse.Namespace) -> bool:
    """Return whether the runs of a named sweep were chosen while it went on."""
    from engram_sweep.runs.design_note import read_design

    return read_design(name_of(name), options.results, changes_of(options)) is not None


def _called(name: str, changes: tuple[str, ...]) -> str:
    """Return what reports call a sweep: its name and what was changed."""
    return " ".join([name, *(f"--set {change}" for change in changes)])


def _fit_slots(table: pd.DataFrame, source: str, options: argparse.Namespace) -> int:
    """Print what a sweep over table sizes shows.

    Raises:
        UserError: the table cannot be analysed, or a prediction is asked for.
    """
    from analysis.report.slot_numbers import slots_json
    from analysis.report.slot_sentences import state_slots
    from analysis.slots.slots_analysis import analyse_slots

    if options.at:
        raise UserError(f"--at {options.at[0]}: {source} varies table sizes and has no conditions")
    slots = analyse_slots(table, source, options.level)
    words = json.dumps(slots_json(slots), allow_nan=False)
    print(words if options.json else "\n".join(state_slots(slots)))
    return 0


def check_level(options: argparse.Namespace) -> None:
    """Refuse a level that makes no sense.

    Raises:
        UserError: it does not.
    """
    if not 0.5 <= options.level <= MAX_LEVEL:
        raise UserError(f"--level: expected a share from 0.5 to {MAX_LEVEL}, got {options.level}")


def check_levels(options: argparse.Namespace) -> None:
    """Refuse a level or a delta that makes no sense.

    Raises:
        UserError: one does not.
    """
    check_level(options)
    if not 0 < options.delta <= MAX_LOSS:
        raise UserError(
            f"--delta: expected nats/token above 0, at most {MAX_LOSS:g}, got {options.delta:g}"
        )
