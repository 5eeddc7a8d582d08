"""`engram-sweep logs`: open the learning curves of a sweep in TensorBoard, W&B or Trackio."""

from __future__ import annotations

import argparse
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from engram_sweep.cli.options import add_command, plan_of
from engram_sweep.errors import UserError

if TYPE_CHECKING:
    from engram_sweep.planning.plan import Plan, PlannedRun

TRACKERS = ("tensorboard", "wandb", "trackio")


def register(commands) -> None:
    """Add `logs` to the command line."""
    summary = "open the learning curves in TensorBoard or Trackio, or send them to W&B"
    command = add_command(commands, "logs", summary, _logs)
    command.add_argument(
        "--with",
        dest="tracker",
        choices=TRACKERS,
        help="which (default: the first of launch.trackers)",
    )
    command.add_argument(
        "--print", dest="only_print", action="store_true", help="print the command that does it"
    )


def _logs(options: argparse.Namespace) -> int:
    plan = plan_of(options)
    configured = plan.scale.launch.trackers
    tracker = options.tracker or next(iter(configured), TRACKERS[0])
    words, variables = command_of(tracker, plan, options.results)
    if options.only_print:
        shown = [f"{key}={shlex.quote(value)}" for key, value in variables.items()]
        print(" ".join([*shown, shlex.join(words)]))
        return 0
    try:
        return subprocess.run(words, env={**os.environ, **variables}).returncode
    except FileNotFoundError:
        raise UserError(
            f"{words[0]} is not installed; {sys.executable} -m pip install {tracker} installs it"
        ) from None


def command_of(tracker: str, plan: Plan, results: Path) -> tuple[list[str], dict[str, str]]:
    """Return the words of the command that opens a sweep's curves, and its environment variables.

    Args:
        tracker: one of `TRACKERS`.
        plan: the sweep.
        results: results folder.

    Raises:
        UserError: no run of the sweep has written curves of this kind.
    """
    home = results / plan.scale.name
    if tracker == "tensorboard":
        folder = _by_name(plan, results)
        return [sys.executable, "-m", "tensorboard.main", "--logdir", str(folder)], {}
    if tracker == "wandb":
        pattern = "logs/wandb/offline-run-*"
        runs = [path for run in plan.runs for path in sorted(_folder(run, results).glob(pattern))]
        if not runs:
            raise _nothing(plan, tracker, home)
        return ["wandb", "sync", *map(str, runs)], {}
    if not any((home / "trackio").glob("*.db")):
        raise _nothing(plan, tracker, home)
    variables = {"TRACKIO_DIR": str((home / "trackio").absolute())}
    return ["trackio", "show", "--project", plan.scale.name], variables


def _by_name(plan: Plan, results: Path) -> Path:
    """Link the logs of every run into one folder, by names that people read; return it.

    Raises:
        UserError: there are none.
        OSError: the folder cannot be written.
    """
    from engram_sweep.own_folders import own_folder

    home = results / plan.scale.name
    written = [run for run in plan.runs if (_folder(run, results) / "logs" / "tb").is_dir()]
    if not written:
        raise _nothing(plan, "tensorboard", home)
    folder = own_folder(home / "tensorboard")
    for old in folder.iterdir():
        if old.is_symlink():
            old.unlink()
    for run in written:
        axes = [f"{key} {value}" for key, value in run.axes.values]
        name = ", ".join([*axes, f"{run.spec.arm} rho {run.spec.rho:.3f} seed {run.spec.seed}"])
        (folder / f"{name} ({run.run_id[:8]})").symlink_to(
            os.path.relpath(_folder(run, results) / "logs" / "tb", folder)
        )
    return folder


def _folder(run: PlannedRun, results: Path) -> Path:
    from engram_sweep.launch.status import folder_of

    return folder_of(run, results).path


def _nothing(plan: Plan, tracker: str, home: Path) -> UserError:
    return UserError(
        f"{home}: no curves for {tracker} yet; runs write them if launch.trackers names it "
        f"({plan.scale.name}: {', '.join(plan.scale.launch.trackers) or 'none'})"
    )
