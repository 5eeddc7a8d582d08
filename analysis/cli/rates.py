"""`engram-sweep rates`: the best learning rate of every rho, and what one rate for all costs."""

from __future__ import annotations

import argparse
import json

from analysis.cli.report import add_level_option, add_records_option, check_level, read_tables
from engram_sweep.cli.options import add_command, changes_of, name_of, scale_of
from engram_sweep.errors import UserError


def register_rates(commands) -> None:
    """Add `rates`: what the runs of `tune` show."""
    summary = "say what the runs of tune show: best rates, regret of one rate, the U on tuned rates"
    command = add_command(commands, "rates", summary, run_rates, scale_is_optional=True)
    add_records_option(command, "a scale's")
    command.add_argument(
        "--rate",
        type=float,
        metavar="RATE",
        help="the sweep's one learning rate (default: the scale's; of tables the one that most "
        "runs have)",
    )
    command.add_argument("--json", action="store_true", help="print one JSON object")
    add_level_option(command)


def run_rates(options: argparse.Namespace) -> int:
    """Print the table of rates and what they show, or with --json everything.

    Raises:
        UserError: the options or the table of runs make no sense.
    """
    from analysis.rates.tuned_rates import analyse_rates
    from analysis.report.rate_sentences import rates_json, rates_table, state_rates
    from engram_sweep.runs.records import read_runs

    check_level(options)
    if options.rate is not None and not 0 < options.rate < float("inf"):
        raise UserError(f"--rate: expected a learning rate above 0, got {options.rate:g}")
    if bool(options.scale) == bool(options.records):
        got = "both" if options.scale else "neither"
        raise UserError(f"rates: expected the name of a scale or --records FILE, got {got}")
    if options.records:
        table, source = read_tables(options.records)
        rate = options.rate
    else:
        source = f"{name_of(options.scale)}.tune"
        if not (options.results / source).is_dir():
            raise UserError(
                f"{options.results / source}: expected runs at several learning rates, found none; "
                f"make tune SCALE={options.scale} trains them"
            )
        rate = options.rate or scale_of(options).training.learning_rate
        table = read_runs(source, options.results, changes_of(options))
    result = analyse_rates(table, source, rate, options.level)
    if options.json:
        print(json.dumps(rates_json(result), allow_nan=False))
        return 0
    rows = rates_table(result)
    for cells in (list(rows.columns), ["---"] * len(rows.columns), *rows.to_numpy().tolist()):
        print("| " + " | ".join(cells) + " |")
    print()
    print("\n".join(state_rates(result)))
    return 0
