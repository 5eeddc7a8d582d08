"""`engram-sweep tune`: check whether the learning rate is fair to pure MoE and to the hybrid."""

from __future__ import annotations

import argparse

from engram_sweep.cli.options import add_command
from engram_sweep.errors import UserError


def register(commands) -> None:
    """Add `tune` to the command line."""
    summary = "is the learning rate fair to pure MoE and to the hybrid?"
    command = add_command(commands, "tune", summary, _tune)
    command.add_argument(
        "--trials", type=int, default=6, help="learning rates to try, two runs each (default: 6)"
    )


def _tune(options: argparse.Namespace) -> int:
    from engram_sweep.cli import status_view
    from engram_sweep.config.scale import load_scale
    from engram_sweep.search.learning_rate import trial_plan, tune

    scale = load_scale(options.scale, options.sweeps)
    if options.trials < 1:
        raise UserError(f"--trials: expected at least 1, got {options.trials}")
    with status_view.Watch(trial_plan(scale, scale.training.learning_rate)) as watch:
        trials = tune(scale, options.results, options.trials, watch.update)
    status_view.print_trials(scale, trials)
    return 0
