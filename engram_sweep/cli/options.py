"""Options that several commands share, and the plan that they name."""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from engram_sweep.errors import UserError

if TYPE_CHECKING:
    from engram_sweep.config.scale import Scale
    from engram_sweep.planning.plan import Plan

SWEEPS = Path("sweeps")
"""Where scales are looked for if `--sweeps` does not say it."""


def add_command(
    commands,
    name: str,
    summary: str,
    func: Callable[[argparse.Namespace], int],
    scale_is_optional: bool = False,
) -> argparse.ArgumentParser:
    """Add a command that takes a scale, and return its parser.

    Args:
        commands: subparsers of the command line.
        name: what the user types.
        summary: one line for `--help`.
        func: runs the command and returns the exit code.
        scale_is_optional: whether the command does something without a scale too.
    """
    command = commands.add_parser(name, help=summary, description=summary)
    count = "?" if scale_is_optional else None
    command.add_argument("scale", nargs=count, help="name of a file in sweeps/, or its path")
    command.add_argument(
        "--sweeps", type=Path, default=SWEEPS, help="folder of scales (default: sweeps)"
    )
    add_set_option(command)
    command.add_argument(
        "--results", type=Path, default=Path("results"), help="results folder (default: results)"
    )
    command.add_argument(
        "--full", action="store_true", help="the scale's full sweep, where sweep.full has one"
    )
    command.set_defaults(func=func)
    return command


def add_set_option(command: argparse.ArgumentParser) -> None:
    """Add `--set`, which every command that takes a scale has: it then means the same sweep."""
    command.add_argument(
        "--set",
        dest="changes",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="in place of the file's value, e.g. training.tokens=1e9 or sweep.seeds=[0,1]; may be "
        "given several times, and again to status and report of the same sweep",
    )


def add_dry_run_option(command: argparse.ArgumentParser) -> None:
    """Add `--dry-run`."""
    command.add_argument(
        "--dry-run",
        action="store_true",
        default=os.environ.get("DRY_RUN", "0") not in ("", "0"),
        help="write the sbatch scripts and the plan, launch nothing (also: DRY_RUN=1)",
    )


def add_launch_options(command: argparse.ArgumentParser) -> None:
    """Add the options of commands that train."""
    command.add_argument(
        "--executor",
        metavar="{local,slurm,inline}",
        default=os.environ.get("EXECUTOR"),
        help="where runs train (default: $EXECUTOR, launch.executor, slurm for GPUs where there is "
        "sbatch, local); inline is this process, one run after the other",
    )
    command.add_argument(
        "--corpus",
        type=Path,
        metavar="FOLDER",
        help="your token shards, for scales that ask for them",
    )
    command.add_argument(
        "--max-gpu-hours", type=positive, metavar="HOURS", help="raise budget.max_gpu_hours"
    )


def positive(text: str) -> float:
    """Return a number of an option that makes sense above 0 only, e.g. a price.

    Raises:
        argparse.ArgumentTypeError: it is none.
    """
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"expected a number above 0, got {text!r}")
    return value


def scale_name(name: str) -> str:
    """Return what a new scale, and its corpus, is to be called by `--to`.

    Raises:
        UserError: it is no file name on any system, or would be read as a path or a table.
    """
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
        raise UserError(f"--to: expected a name of letters, digits, dots and dashes, got {name!r}")
    for ending in (".yaml", ".csv", ".parquet"):
        if name.lower().endswith(ending):
            raise UserError(f"--to: expected a name that does not end in {ending}, got {name!r}")
    return name


def name_of(text: str) -> str:
    """Return the name of the scale that a word of the command line names.

    A path is what people complete with the tab key: `sweeps/tiny.yaml` is tiny.
    """
    return Path(text).stem if text.endswith(".yaml") else text


def named(options: argparse.Namespace) -> tuple[str, Path]:
    """Return the name of the scale that the options name, and the folder that it lies in.

    Raises:
        UserError: the path of a file is named and there is none, or no such folder of scales.
    """
    path = Path(options.scale)
    there = path.suffix == ".yaml" and path.exists()
    # Another file of this name in another folder is another scale.
    if path.suffix == ".yaml" and not there and path.name != options.scale:
        raise UserError(f"{path}: expected the file of a scale, there is none")
    if options.sweeps != SWEEPS and not options.sweeps.is_dir():
        raise UserError(f"--sweeps {options.sweeps}: expected a folder of scales, there is none")
    return name_of(options.scale), path.parent if there else options.sweeps


def scale_of(options: argparse.Namespace) -> Scale:
    """Load the scale that the options name, with the changes of `--set`.

    Raises:
        UserError: there is no such scale, or it is wrong.
    """
    from engram_sweep.config.scale import load_scale

    return load_scale(*named(options), options.changes)


def changes_of(options: argparse.Namespace) -> tuple[str, ...]:
    """Return the changes of `--set` as sweeps are known by.

    Raises:
        UserError: one is not `KEY=VALUE`.
    """
    # Not at the top: the keys of scales take a tenth of a second, which a report has no need of.
    if not options.changes:
        return ()
    from engram_sweep.config.changes import read_changes

    return read_changes(options.changes)


def plan_of(options: argparse.Namespace) -> Plan:
    """Load the scale that the options name and plan it.

    Raises:
        UserError: the scale is wrong, or a point of it has no solution.
    """
    from engram_sweep.planning.plan import make_plan

    scale = scale_of(options)
    return make_plan(scale.in_full() if options.full else scale)


def begun_plan_of(options: argparse.Namespace) -> Plan:
    """Return the plan of what a sweep has begun: of an adaptive one the runs chosen so far.

    Raises:
        UserError: as `plan_of`.
    """
    plan = plan_of(options)
    if plan.scale.sweep.design == "grid":
        return plan
    from engram_sweep.search.adaptive import begun

    return begun(plan, options.results)


def check_corpus(scale: Scale, options: argparse.Namespace) -> None:
    """Refuse `--corpus` for a scale that would not read it.

    Raises:
        UserError: the scale's text comes from a package.
    """
    from engram_sweep.corpus.sources import SHARDS

    if options.corpus is not None and scale.corpus.source != SHARDS:
        raise UserError(
            f"--corpus {options.corpus}: expected a scale whose corpus.source is {SHARDS}, "
            f"{scale.name} trains on {scale.corpus.source}"
        )
