"""Options that several commands share, and the plan that they name."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from engram_sweep.planning.plan import Plan


def add_command(
    commands, name: str, summary: str, func: Callable[[argparse.Namespace], int]
) -> argparse.ArgumentParser:
    """Add a command that takes a scale, and return its parser.

    Args:
        commands: subparsers of the command line.
        name: what the user types.
        summary: one line for `--help`.
        func: runs the command and returns the exit code.
    """
    command = commands.add_parser(name, help=summary, description=summary)
    command.add_argument("scale", help="name of a file in sweeps/, without .yaml")
    command.add_argument(
        "--sweeps", type=Path, default=Path("sweeps"), help="folder of scales (default: sweeps)"
    )
    command.add_argument(
        "--results", type=Path, default=Path("results"), help="results folder (default: results)"
    )
    command.add_argument(
        "--full", action="store_true", help="the scale's full sweep, where sweep.full has one"
    )
    command.set_defaults(func=func)
    return command


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
        "--dry-run",
        action="store_true",
        default=os.environ.get("DRY_RUN", "0") not in ("", "0"),
        help="write the sbatch scripts and the plan, launch nothing (also: DRY_RUN=1)",
    )
    command.add_argument(
        "--corpus",
        type=Path,
        metavar="FOLDER",
        help="your token shards, for scales that ask for them",
    )
    command.add_argument(
        "--max-gpu-hours", type=float, metavar="HOURS", help="raise budget.max_gpu_hours"
    )


def plan_of(options: argparse.Namespace) -> Plan:
    """Load the scale that the options name and plan it.

    Raises:
        UserError: the scale is wrong, or a point of it has no solution.
    """
    from engram_sweep.config.scale import load_scale
    from engram_sweep.planning.plan import make_plan

    scale = load_scale(options.scale, options.sweeps)
    return make_plan(scale.in_full() if options.full else scale)
