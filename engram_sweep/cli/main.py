"""`engram-sweep`: plan, sweep, status, cancel, and the commands that other packages register (fit, report).

Exit codes: 0 well, 1 a run failed, 2 bad input (one line on stderr), 130 stopped by Ctrl-C.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import sys
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING

from engram_sweep.errors import UserError

if TYPE_CHECKING:
    from engram_sweep.launch.status import Survey
    from engram_sweep.planning.plan import Plan

WATCH_SECONDS = 2


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    whole_process = arguments is None
    if whole_process:
        gc.disable()  # imports leave no garbage, and looking for it takes a tenth of their time
    parser = argparse.ArgumentParser(
        prog="engram-sweep", description="Loss over the share of memory, at a fixed budget."
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for register in (
        _register_plan,
        _register_sweep,
        _register_status,
        _register_cancel,
        _register_rerun_failed,
        _register_export,
        _register_tune,
        _register_inspect,
    ):
        register(commands)
    for point in sorted(entry_points(group="engram_sweep.commands"), key=lambda p: p.name):
        # A command of another package loads when it is asked for: its imports take seconds.
        if (
            whole_process
            and point.name not in sys.argv[1:2]
            and len(sys.argv) > 1
            and sys.argv[1][:1] != "-"
        ):
            continue
        point.load()(commands)
    options = parser.parse_args(arguments)
    if whole_process:
        gc.freeze()
        gc.enable()
    try:
        return options.func(options)
    except UserError as error:
        print(f"engram-sweep: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nstopped; the same command goes on from here", file=sys.stderr)
        return 130


def _add(commands, name: str, summary: str, func) -> argparse.ArgumentParser:
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


def _register_plan(commands) -> None:
    command = _add(commands, "plan", "what a sweep will train and what it costs", _plan)
    command.add_argument("--json", action="store_true", help="one JSON object")
    command.add_argument(
        "--gpu", choices=("h100", "h200", "a100"), help="price it on these (default: launch.gpu)"
    )
    command.add_argument(
        "--mfu",
        type=float,
        help="share of the dense bf16 peak that is sustained (default: launch.mfu)",
    )
    command.add_argument(
        "--gpus", type=int, help="GPUs given to the whole sweep (default: launch.gpus x parallel)"
    )
    command.add_argument("--price", type=float, metavar="MONEY", help="money per GPU-hour")
    command.add_argument(
        "--ledger", type=float, metavar="RHO", help="the parameter ledger at this rho, too"
    )


def _register_sweep(commands) -> None:
    _launching(_add(commands, "sweep", "train every run that is not done", _sweep))


def _launching(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--executor",
        metavar="{local,slurm,inline}",
        default=os.environ.get("EXECUTOR"),
        help="where runs train (default: $EXECUTOR, launch.executor, slurm for GPUs where there is sbatch, local); "
        "inline is this process, one run after the other",
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


def _register_status(commands) -> None:
    how = _add(commands, "status", "how every run stands", _status).add_mutually_exclusive_group()
    how.add_argument("--json", action="store_true", help="one JSON object")
    how.add_argument(
        "--watch",
        action="store_true",
        help="until all are finished; when piped, one line per change",
    )


def _register_cancel(commands) -> None:
    _add(
        commands,
        "cancel",
        "stop the queued and running jobs of this sweep, whoever submitted them",
        _cancel,
    )


def _register_rerun_failed(commands) -> None:
    _launching(
        _add(commands, "rerun-failed", "train the runs that failed, nothing else", _rerun_failed)
    )


def _register_export(commands) -> None:
    command = _add(commands, "export", "one table of all finished runs, to hand on", _export)
    command.add_argument(
        "file", type=Path, metavar="FILE.parquet", help="the table; fit --records reads it"
    )


def _register_tune(commands) -> None:
    command = _add(
        commands, "tune", "is the learning rate fair to pure MoE and to the hybrid?", _tune
    )
    command.add_argument(
        "--trials", type=int, default=6, help="learning rates to try, two runs each (default: 6)"
    )


def _register_inspect(commands) -> None:
    from engram_sweep.cli.inspect_ngrams import register

    register(commands)


def _make_plan(options: argparse.Namespace):
    from engram_sweep.config.scale import load_scale
    from engram_sweep.planning.plan import make_plan

    scale = load_scale(options.scale, options.sweeps)
    return make_plan(scale.in_full() if options.full else scale)


def _plan(options: argparse.Namespace) -> int:
    from engram_sweep.planning.cost import components, cost, price_of

    plan = _make_plan(options)
    price = price_of(plan.scale.launch, options.gpu, options.mfu, options.gpus, options.price)
    bill, gpus = cost(plan, price), plan.scale.launch.gpus
    shown = (
        None
        if options.ledger is None
        else min(plan.runs, key=lambda run: abs(run.spec.rho - options.ledger))
    )
    if options.json:
        data = {
            "scale": plan.scale.name,
            "runs": [run.row() for run in plan.runs],
            "cost": bill,
            "held": plan.held(),
        }
        print(json.dumps(data | ({"ledger": components(shown, gpus)} if shown else {})))
    else:
        from engram_sweep.cli import plan_view

        plan_view.print_plan(plan, bill)
        if shown:
            plan_view.print_ledger(shown, gpus)
    return 0


def _status(options: argparse.Namespace) -> int:
    from engram_sweep.launch.status import Survey, counts

    plan = _make_plan(options)
    survey = Survey(plan, options.results)
    if options.watch:
        return _watch(survey)
    statuses = survey.look()
    if options.json:
        rows = [status.row() for status in statuses]
        print(json.dumps({"scale": plan.scale.name, "counts": counts(statuses), "runs": rows}))
    else:
        from engram_sweep.cli import status_view

        status_view.print_status(plan.scale.name, statuses)
    return 0


def _watch(survey: Survey) -> int:
    import time

    from engram_sweep.cli import status_view

    with status_view.Watch(survey.plan) as watch:
        while True:
            statuses = survey.look()
            watch.update(statuses)
            if all(status.finished for status in statuses):
                break
            time.sleep(WATCH_SECONDS)
    status_view.print_outcome(survey.plan.scale.name, statuses, trained=watch.updates > 1)
    return 0


def _sweep(options: argparse.Namespace) -> int:
    return _launch(_make_plan(options), options, None)


def _rerun_failed(options: argparse.Namespace) -> int:
    from engram_sweep.launch.status import sweep_status

    plan = _make_plan(options)
    failed = {s.run.run_id for s in sweep_status(plan, options.results) if s.state == "failed"}
    if not failed:
        print(f"{plan.scale.name}: no failed runs")
        return 0
    return _launch(plan, options, failed)


def _launch(plan: Plan, options: argparse.Namespace, only: set[str] | None) -> int:
    from engram_sweep.cli import status_view
    from engram_sweep.launch.driver import sweep

    if options.dry_run:
        return _dry_run(plan, options)
    _check_price(plan, options, only)
    with status_view.Watch(plan) as watch:
        statuses = sweep(
            plan, options.results, watch.update, options.executor, options.corpus, only
        )
    status_view.print_outcome(plan.scale.name, statuses, trained=watch.updates > 1)
    return 0 if all(s.finished for s in statuses if only is None or s.run.run_id in only) else 1


def _dry_run(plan, options: argparse.Namespace) -> int:
    from engram_sweep.cli import plan_view
    from engram_sweep.launch import dry_run
    from engram_sweep.planning.cost import cost, price_of

    if options.executor not in (None, "slurm"):
        raise UserError(
            f"--dry-run: expected the executor slurm, whose scripts it writes, got {options.executor!r}"
        )
    bill = cost(plan, price_of(plan.scale.launch))
    try:
        folder = dry_run.write(plan, options.results, bill)
    except OSError as error:
        raise UserError(
            f"{options.results}: expected a results folder with room to write: {error}"
        ) from None
    plan_view.print_plan(plan, bill)
    scripts = len(list(folder.glob("*.sh")))
    print(
        f"dry run: {scripts} sbatch script{'s'[: scripts != 1]} and plan.json in {folder}; nothing was launched"
    )
    print(
        f"submit them with: EXECUTOR=slurm make sweep SCALE={plan.scale.name}   (where there is sbatch)"
    )
    return 0


def _cancel(options: argparse.Namespace) -> int:
    from engram_sweep.config.scale import load_scale
    from engram_sweep.launch.cancel import cancel

    scale = load_scale(options.scale, options.sweeps)
    print(f"{scale.name}: {cancel(scale.name, options.results)} jobs stopped")
    return 0


def _check_price(plan: Plan, options: argparse.Namespace, only: set[str] | None) -> None:
    """Of a sweep on GPUs: show the bill where it cannot run here, and refuse what is too dear or too large."""
    from dataclasses import replace

    from engram_sweep.launch.placement import choose, what_is_missing
    from engram_sweep.launch.status import sweep_status
    from engram_sweep.planning.cost import check_gpu_hours, check_memory, cost, price_of

    price = price_of(plan.scale.launch)
    if price is None:
        return
    left = [status.run for status in sweep_status(plan, options.results) if not status.finished]
    left = [run for run in left if only is None or run.run_id in only]
    if not left:
        return
    missing = what_is_missing(plan.scale, choose(plan.scale.launch, options.executor))
    if missing:
        from engram_sweep.cli import plan_view

        plan_view.print_plan(plan, cost(plan, price))
        sys.stdout.flush()
    left_plan = replace(plan, runs=tuple(left))
    check_gpu_hours(plan, cost(left_plan, price)["gpu_hours"], options.max_gpu_hours)
    if not missing:
        check_memory(left_plan, price)


def _export(options: argparse.Namespace) -> int:
    from engram_sweep.runs.records import export_runs

    print(f"{options.file}: {export_runs(options.scale, options.results, options.file)} runs")
    return 0


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


if __name__ == "__main__":
    sys.exit(main())
