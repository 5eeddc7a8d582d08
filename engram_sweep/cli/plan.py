"""`engram-sweep plan`: what a sweep will train and what it costs."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from engram_sweep.cli.options import add_command, check_corpus, plan_of, positive
from engram_sweep.errors import UserError

if TYPE_CHECKING:
    from engram_sweep.planning.plan import Plan, PlannedRun

RHO_ROUNDING = 0.005
"""How far a rho may be off the one that is meant: people write two digits."""


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
    command.add_argument("--price", type=positive, metavar="MONEY", help="money per GPU-hour")
    command.add_argument(
        "--ledger", type=float, metavar="RHO", help="the parameter ledger at this rho, too"
    )
    command.add_argument(
        "--corpus", type=Path, metavar="FOLDER", help="your token shards, to see what fits them"
    )


def _plan(options: argparse.Namespace) -> int:
    from engram_sweep.launch.executors.registry import choose
    from engram_sweep.placement import Placement
    from engram_sweep.planning.adaptive import at_most, pilot_of, rules_of
    from engram_sweep.planning.cost import cost, price_of
    from engram_sweep.planning.memory import components
    from engram_sweep.planning.notes import plan_notes

    plan = plan_of(options)
    check_corpus(plan.scale, options)
    price = price_of(plan.scale.launch, options.gpu, options.mfu, options.gpus, options.price)
    occupied = choose(plan.scale.launch).resources(plan.scale).shape
    # What an adaptive sweep costs at most; its other candidates are not trained.
    spent = plan if plan.scale.sweep.design == "grid" else at_most(plan)
    estimate = cost(spent, price, occupied)
    placement = Placement(**estimate["placement"]) if price else Placement()
    notes = plan_notes(spent, estimate, _text_tokens(plan, options), occupied)
    shown = None if options.ledger is None else _run_at(plan, options.ledger)
    if options.json:
        data = {
            "scale": plan.scale.name,
            "runs": [run.row() for run in plan.runs],
            "cost": estimate,
            "held": plan.held(),
            "notes": notes,
        }
        if spent is not plan:
            first = pilot_of(plan)
            data["adaptive"] = {
                "rules": rules_of(plan),
                "pilot": [run.run_id for run in first.runs],
                "pilot_cost": cost(first, price, occupied),
            }
        if shown:
            data["ledger"] = components(shown, placement)
        print(json.dumps(data))
        return 0

    from engram_sweep.cli import plan_view

    plan_view.print_plan(plan, estimate, notes)
    if shown:
        plan_view.print_ledger(shown, placement)
    return 0


def _run_at(plan: Plan, rho: float) -> PlannedRun:
    """Return the first run at a rho, asked or realised.

    Raises:
        UserError: the plan has none.
    """
    for run in plan.runs:
        if min(abs(rho - run.spec.rho), abs(rho - run.allocation.rho_asked)) <= RHO_ROUNDING:
            return run
    there = ", ".join(f"{found:g}" for found in sorted({r.allocation.rho_asked for r in plan.runs}))
    raise UserError(f"--ledger: expected a rho of the plan ({there}), got {rho:g}")


def _text_tokens(plan: Plan, options: argparse.Namespace) -> int | None:
    from engram_sweep.corpus.at_hand import tokens_at_hand

    given = options.corpus or plan.scale.launch.corpus_path
    corpus = plan.runs[0].spec.corpus
    return tokens_at_hand(corpus, options.results / "corpora", Path(given) if given else None)
