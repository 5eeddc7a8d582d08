"""`engram-sweep tune`: train further learning rates at some rho, to see if one is fair to all."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING

from engram_sweep.cli.options import add_command, add_launch_options, check_corpus, scale_of
from engram_sweep.errors import UserError

if TYPE_CHECKING:
    from engram_sweep.config.scale import Scale
    from engram_sweep.search.learning_rate import Trial


def register(commands) -> None:
    """Add `tune` to the command line."""
    summary = "train further learning rates at rho = 1 and at hybrids; rates says what they show"
    command = add_command(commands, "tune", summary, _tune)
    command.add_argument(
        "--trials",
        type=int,
        default=6,
        help="learning rates of each rho in all, those trained before included (default: 6)",
    )
    command.add_argument(
        "--rho",
        type=float,
        nargs="+",
        default=[],
        metavar="RHO",
        help="shares of the scale's grid to search (default: 1, the middle and the lowest)",
    )
    add_launch_options(command)


def _tune(options: argparse.Namespace) -> int:
    from engram_sweep.cli.watch_view import Watch
    from engram_sweep.search.learning_rate import probes, trial_plan, tune

    scale = scale_of(options)
    scale = scale.in_full() if options.full else scale
    if options.trials < 1:
        raise UserError(f"--trials: expected at least 1, got {options.trials}")
    shares = probes(scale, options.rho)
    check_corpus(scale, options)
    _check_price(scale, shares, options)
    own = scale.training.learning_rate
    with Watch(trial_plan(scale, own, shares, scale.sweep.seeds)) as watch:
        trials = tune(
            scale,
            options.results,
            options.trials,
            watch.update,
            options.executor,
            options.corpus,
            shares,
        )
    print_trials(scale, trials)
    return 0


def print_trials(scale: Scale, trials: Sequence[Trial]) -> None:
    """Print the mean loss of every rate at every rho, and what may have gone without seeds."""
    from engram_sweep.cli.plan_view import console
    from engram_sweep.cli.tables import Column, print_table
    from engram_sweep.search.learning_rate import best
    from engram_sweep.search.rate_study import MIN_SEEDS_TO_PRUNE, PRUNE_P

    at = {(trial.rho, trial.learning_rate): trial for trial in trials}
    rates = sorted({trial.learning_rate for trial in trials})
    columns = [Column("learning rate", [f"{rate:g}" for rate in rates])]
    for rho in dict.fromkeys(trial.rho for trial in trials):
        lowest = best(trials, rho)
        cells = [_cell(at.get((rho, rate)), lowest) for rate in rates]
        columns.append(Column(f"rho {rho:g}", cells))
    out, seeds = console(), len(scale.sweep.seeds)
    print_table(
        out,
        f"{scale.name}: validation loss by learning rate, mean of {seeds} seeds (the scale's: "
        f"{scale.training.learning_rate:g})",
        columns,
    )
    if seeds > MIN_SEEDS_TO_PRUNE:
        words = "rates in brackets were given up before all seeds: they diverge or are surely worse"
    else:
        words = (
            f"every rate got all seeds: a signed-rank test cannot call one worse at "
            f"p < {PRUNE_P:g} before {MIN_SEEDS_TO_PRUNE} (least p = 2^-n)"
        )
    out.print(words, highlight=False, soft_wrap=True)


def _cell(trial: Trial | None, lowest: Trial | None) -> str:
    """Return a loss, marked if it is the lowest of its rho or if its rate was given up."""
    if trial is None:
        return ""
    loss = f"{trial.mean:.4f}" if trial.mean == trial.mean else "diverged"
    if trial.given_up:
        return f"({loss})"
    return f"{loss} *" if trial is lowest else loss


def _check_price(scale: Scale, shares: Sequence[float], options: argparse.Namespace) -> None:
    """Refuse trials over the GPU-hour limit.

    Raises:
        UserError: they are.
    """
    from engram_sweep.launch.executors.registry import choose
    from engram_sweep.planning.cost import check_gpu_hours, cost, price_of
    from engram_sweep.search.learning_rate import trial_plan

    price = price_of(scale.launch)
    missing = choose(scale.launch, options.executor).what_is_missing(scale)
    # Without what it takes to launch, the launch says so itself.
    if price is None or missing:
        return
    trial = trial_plan(scale, scale.training.learning_rate, shares, scale.sweep.seeds)
    hours = options.trials * cost(trial, price)["gpu_hours"]
    check_gpu_hours(trial, hours, options.max_gpu_hours)
