"""`engram-sweep register`: write down a plan and how it will be judged, before its first run."""

from __future__ import annotations

import argparse

from analysis.cli.report import add_level_options, check_levels
from engram_sweep.cli.options import add_command, plan_of
from engram_sweep.errors import UserError


def register_register(commands) -> None:
    """Add `register` to the command line."""
    from analysis.report.registered_plan import STOPPING_RULE

    summary = "write down plan, tests, delta and stopping rule before the first run"
    command = add_command(commands, "register", summary, _register)
    add_level_options(command)
    command.add_argument(
        "--stopping-rule",
        metavar="TEXT",
        help=f"when training ends (default: {STOPPING_RULE}; of an adaptive sweep its own)",
    )
    command.add_argument(
        "--late", action="store_true", help="although runs are finished; the file names them"
    )


def _register(options: argparse.Namespace) -> int:
    from analysis.report.registered_plan import content_of, register
    from engram_sweep.atomic_files import read_fields

    check_levels(options)
    if options.stopping_rule is not None and not options.stopping_rule.strip():
        raise UserError("--stopping-rule: expected when training ends, in words, got none")
    plan = plan_of(options)
    content = content_of(plan, options.results, options.level, options.delta, options.stopping_rule)
    path = register(content, options.results, options.late)
    file = read_fields(path, digest=str, at=str) or {}
    print(f"{path}: {len(plan.runs)} runs registered at {file.get('at')}")
    print(f"digest {file.get('digest')}; put it where it cannot be changed, e.g. into a commit")
    return 0
