"""`engram-sweep tune`: check whether the learning rate is fair to pure MoE and to the hybrid."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from engram_sweep.cli.options import add_command, add_launch_options, check_corpus, scale_of
from engram_sweep.errors import UserError

if TYPE_CHECKING:
    from engram_sweep.planning.plan import Plan


def register(commands) -> None:
    """Add `tune` to the command line."""
    summary = "is the learning rate fair to pure MoE and to the hybrid?"
    command = add_command(commands, "tune", summary, _tune)
    command.add_argument(
        "--trials",
        type=int,
        default=6,
        help="learning rates in all, those trained before included, two runs each (default: 6)",
    )
    add_launch_options(command)


def _tune(options: argparse.Namespace) -> int:
    from engram_sweep.cli import status_view
    from engram_sweep.cli.watch_view import Watch
    from engram_sweep.search.learning_rate import trial_plan, tune

    scale = scale_of(options)
    if options.trials < 1:
        raise UserError(f"--trials: expected at least 1, got {options.trials}")
    first = trial_plan(scale, scale.training.learning_rate)
    check_corpus(scale, options)
    _check_price(first, options)
    with Watch(first) as watch:
        trials = tune(
            scale, options.results, options.trials, watch.update, options.executor, options.corpus
        )
    status_view.print_trials(scale, trials)
    return 0


def _check_price(trial: Plan, options: argparse.Namespace) -> None:
    """Refuse trials over the GPU-hour limit.

    Raises:
        UserError: they are.
    """
    from engram_sweep.launch.executors.registry import choose
    from engram_sweep.planning.cost import check_gpu_hours, cost, price_of

    price = price_of(trial.scale.launch)
    missing = choose(trial.scale.launch, options.executor).what_is_missing(trial.scale)
    # Without what it takes to launch, the launch says so itself.
    if price is None or missing:
        return
    hours = options.trials * cost(trial, price)["gpu_hours"]
    check_gpu_hours(trial, hours, options.max_gpu_hours)
