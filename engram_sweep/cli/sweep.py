"""`engram-sweep sweep` and `rerun-failed`: train what is not done, or write what would be."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

from engram_sweep.cli.options import (
    add_command,
    add_dry_run_option,
    add_launch_options,
    begun_plan_of,
    check_corpus,
    plan_of,
)
from engram_sweep.errors import UserError

if TYPE_CHECKING:
    from engram_sweep.planning.plan import Plan


def register(commands) -> None:
    """Add `sweep` to the command line."""
    command = add_command(commands, "sweep", "train every run that is not done", _sweep)
    add_launch_options(command)
    add_dry_run_option(command)


def register_rerun_failed(commands) -> None:
    """Add `rerun-failed` to the command line."""
    summary = "train the runs that failed, nothing else"
    command = add_command(commands, "rerun-failed", summary, _rerun_failed)
    add_launch_options(command)
    add_dry_run_option(command)


def _sweep(options: argparse.Namespace) -> int:
    plan = plan_of(options)
    if plan.scale.sweep.design == "adaptive":
        return _launch_adaptive(plan, options)
    return _launch(plan, options, None)


def _rerun_failed(options: argparse.Namespace) -> int:
    from engram_sweep.launch.status import sweep_status

    plan = begun_plan_of(options)
    failed = {s.run.run_id for s in sweep_status(plan, options.results) if s.state == "failed"}
    if not failed:
        print(f"{plan.scale.name}: no failed runs")
        return 0
    return _launch(plan, options, failed)


def _launch(plan: Plan, options: argparse.Namespace, only: set[str] | None) -> int:
    from engram_sweep.cli import status_view
    from engram_sweep.cli.watch_view import Watch
    from engram_sweep.launch.driver_lock import process_started
    from engram_sweep.launch.sweep import sweep

    check_corpus(plan.scale, options)
    if options.dry_run:
        return _dry_run(plan, options)
    _check_price(plan, options, only)
    with Watch(plan) as watch:
        statuses = sweep(
            plan,
            options.results,
            watch.update,
            options.executor,
            options.corpus,
            only,
            process_started() if options.own_process else None,
        )
    status_view.print_outcome(plan.scale.name, statuses, trained=watch.updates > 1)
    asked = [s for s in statuses if only is None or s.run.run_id in only]
    return 0 if all(s.finished for s in asked) else 1


def _launch_adaptive(plan: Plan, options: argparse.Namespace) -> int:
    from engram_sweep.cli import status_view
    from engram_sweep.cli.watch_view import Watch
    from engram_sweep.launch.driver_lock import process_started
    from engram_sweep.planning.adaptive import at_most, pilot_of
    from engram_sweep.search.adaptive import adaptive_sweep, proposer

    check_corpus(plan.scale, options)
    if options.dry_run:
        return _dry_run(pilot_of(plan), options)
    _check_price(at_most(plan), options, None)
    propose = proposer()
    with Watch(plan) as watch:
        statuses = adaptive_sweep(
            plan,
            options.results,
            watch.update,
            watch.say,
            propose,
            options.executor,
            options.corpus,
            process_started() if options.own_process else None,
        )
    status_view.print_outcome(plan.scale.name, statuses, trained=watch.updates > 1)
    return 0 if all(s.finished for s in statuses) else 1


def _dry_run(plan: Plan, options: argparse.Namespace) -> int:
    from engram_sweep.cli import plan_view
    from engram_sweep.launch import dry_run
    from engram_sweep.planning.cost import cost, price_of
    from engram_sweep.planning.notes import launch_refusal

    if options.executor not in (None, "slurm"):
        raise UserError(
            "--dry-run: expected the executor slurm, whose scripts it writes, "
            f"got {options.executor!r}"
        )
    estimate = cost(plan, price_of(plan.scale.launch))
    try:
        folder = dry_run.write(plan, options.results, estimate)
    except OSError as error:
        raise UserError(
            f"{options.results}: expected a results folder with room to write: {error}"
        ) from None
    plan_view.print_plan(plan, estimate)
    scripts = len(list(folder.glob("*.sh")))
    print(
        f"dry run: {scripts} sbatch script{'s'[: scripts != 1]} and plan.json in {folder}; "
        "nothing was launched"
    )
    if refusal := launch_refusal(plan, estimate):
        print(f"a launch would be refused: {refusal}")
        return 0
    print(
        f"submit them with: EXECUTOR=slurm make sweep SCALE={plan.scale.name}   "
        "(where there is sbatch)"
    )
    return 0


def _check_price(plan: Plan, options: argparse.Namespace, only: set[str] | None) -> None:
    """Refuse a sweep over the GPU-hour limit.

    Print the cost estimate first if the sweep cannot run here. Sweeps without GPUs pass.

    Raises:
        UserError: the sweep is refused; says by how much and what would allow it.
    """
    from engram_sweep.launch.executors.registry import choose
    from engram_sweep.launch.status import sweep_status
    from engram_sweep.planning.cost import check_gpu_hours, cost, price_of

    price = price_of(plan.scale.launch)
    if price is None:
        return
    left = [status.run for status in sweep_status(plan, options.results) if not status.finished]
    left = [run for run in left if only is None or run.run_id in only]
    if not left:
        return
    missing = choose(plan.scale.launch, options.executor).what_is_missing(plan.scale)
    if missing:
        from engram_sweep.cli import plan_view

        plan_view.print_plan(plan, cost(plan, price))
        sys.stdout.flush()
    left_plan = replace(plan, runs=tuple(left))
    check_gpu_hours(plan, cost(left_plan, price)["gpu_hours"], options.max_gpu_hours)
