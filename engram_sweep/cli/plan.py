"""`engram-sweep plan`: what a sweep will train and what it costs."""

from __future__ import annotations

import argparse
import json

from engram_sweep.cli.options import add_command, plan_of


def register(commands) -> None:
    """Add `plan` to the command line."""
    command = add_command(commands, "plan", "what a sweep will train and what it costs", _plan)
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


def _plan(options: argparse.Namespace) -> int:
    from engram_sweep.planning.cost import components, cost, price_of

    plan = plan_of(options)
    price = price_of(plan.scale.launch, options.gpu, options.mfu, options.gpus, options.price)
    estimate, gpus = cost(plan, price), plan.scale.launch.gpus
    shown = None
    if options.ledger is not None:
        shown = min(plan.runs, key=lambda run: abs(run.spec.rho - options.ledger))
    if options.json:
        data = {
            "scale": plan.scale.name,
            "runs": [run.row() for run in plan.runs],
            "cost": estimate,
            "held": plan.held(),
        }
        if shown:
            data["ledger"] = components(shown, gpus)
        print(json.dumps(data))
        return 0

    from engram_sweep.cli import plan_view

    plan_view.print_plan(plan, estimate)
    if shown:
        plan_view.print_ledger(shown, gpus)
    return 0
