"""`engram-sweep`: plan, sweep, status, and the commands that other packages register (fit, report).

Exit codes: 0 well, 1 a run failed, 2 bad input (one line on stderr), 130 stopped by Ctrl-C.
"""

from __future__ import annotations

import argparse
import json
import sys
from importlib.metadata import entry_points
from pathlib import Path

from engram_sweep.errors import UserError


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="engram-sweep", description="Loss over the share of memory, at a fixed budget."
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for register in (_register_plan, _register_sweep, _register_status, _register_tune, _register_inspect):
        register(commands)
    for point in sorted(entry_points(group="engram_sweep.commands"), key=lambda p: p.name):
        # A command of another package loads when it is asked for: its imports take seconds.
        if arguments is None and point.name not in sys.argv[1:2] and len(sys.argv) > 1 and sys.argv[1][:1] != "-":
            continue
        point.load()(commands)
    options = parser.parse_args(arguments)
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
    command.add_argument("--sweeps", type=Path, default=Path("sweeps"), help="folder of scales (default: sweeps)")
    command.add_argument("--results", type=Path, default=Path("results"), help="results folder (default: results)")
    command.set_defaults(func=func)
    return command


def _register_plan(commands) -> None:
    _add(commands, "plan", "what a sweep will train and what it costs", _plan).add_argument(
        "--json", action="store_true", help="one JSON object"
    )


def _register_sweep(commands) -> None:
    command = _add(commands, "sweep", "train every run that is not done", _sweep)
    command.add_argument("--inline", action="store_true", help="train in this process, one run after the other")


def _register_status(commands) -> None:
    _add(commands, "status", "how every run stands", _status).add_argument(
        "--json", action="store_true", help="one JSON object"
    )


def _register_tune(commands) -> None:
    command = _add(commands, "tune", "is the learning rate fair to pure MoE and to the hybrid?", _tune)
    command.add_argument("--trials", type=int, default=6, help="learning rates to try, two runs each (default: 6)")


def _register_inspect(commands) -> None:
    from engram_sweep.inspect import register

    register(commands)


def _make_plan(options: argparse.Namespace):
    from engram_sweep.plan import make_plan
    from engram_sweep.scale import load_scale

    return make_plan(load_scale(options.scale, options.sweeps))


def _plan(options: argparse.Namespace) -> int:
    plan = _make_plan(options)
    if options.json:
        print(json.dumps({"scale": plan.scale.name, "runs": [run.row() for run in plan.runs], "cost": plan.cost()}))
    else:
        from engram_sweep import tables

        tables.print_plan(plan)
    return 0


def _status(options: argparse.Namespace) -> int:
    from engram_sweep.launch.status import counts, sweep_status

    plan = _make_plan(options)
    statuses = sweep_status(plan, options.results)
    if options.json:
        rows = [status.row() for status in statuses]
        print(json.dumps({"scale": plan.scale.name, "counts": counts(statuses), "runs": rows}))
    else:
        from engram_sweep import tables

        tables.print_status(plan.scale.name, statuses)
    return 0


def _sweep(options: argparse.Namespace) -> int:
    from engram_sweep import tables
    from engram_sweep.launch.driver import sweep

    plan = _make_plan(options)
    with tables.Watch(plan) as watch:
        statuses = sweep(plan, options.results, watch.update, inline=options.inline)
    tables.print_outcome(plan.scale.name, statuses, trained=watch.updates > 1)
    return 1 if any(status.state == "failed" for status in statuses) else 0


def _tune(options: argparse.Namespace) -> int:
    from engram_sweep import tables
    from engram_sweep.launch.tune import trial_plan, tune
    from engram_sweep.scale import load_scale

    scale = load_scale(options.scale, options.sweeps)
    if options.trials < 1:
        raise UserError(f"--trials: expected at least 1, got {options.trials}")
    with tables.Watch(trial_plan(scale, scale.training.learning_rate)) as watch:
        trials = tune(scale, options.results, options.trials, watch.update)
    tables.print_trials(scale, trials)
    return 0


if __name__ == "__main__":
    sys.exit(main())
