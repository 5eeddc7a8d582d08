"""`engram-sweep`: the parser, and the commands of this and other packages.

A command is a function `register(commands)` that adds its parser. Commands import what they need
when they run, because `plan` should not wait for the imports of `sweep`.

Exit codes: 0 well, 1 a run failed, 2 bad input (one line on stderr), 130 stopped by Ctrl-C.
"""

from __future__ import annotations

import argparse
import gc
import sys
from importlib.metadata import EntryPoint, entry_points

from engram_sweep.cli import data, export, inspect_ngrams, plan, status, sweep, tune
from engram_sweep.errors import UserError, printable

COMMANDS = (
    data.register,
    plan.register,
    sweep.register,
    status.register,
    status.register_cancel,
    sweep.register_rerun_failed,
    export.register,
    tune.register,
    inspect_ngrams.register,
)
"""Commands of this package, in the order of `--help`."""


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return the exit code.

    Args:
        arguments: the words after `engram-sweep`; those of the process if left out.
    """
    if arguments is not None:
        options = _parser(_installed_commands()).parse_args(arguments)
        return _run(options, own_process=False)
    # Imports leave no garbage, and looking for it takes a tenth of their time.
    gc.disable()
    options = _parser(_asked_commands(sys.argv[1:])).parse_args()
    gc.freeze()
    gc.enable()
    return _run(options, own_process=True)


def _parser(others: list[EntryPoint]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="engram-sweep", description="Loss over the share of memory, at a fixed budget."
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for register in COMMANDS:
        register(commands)
    for point in others:
        point.load()(commands)
    return parser


def _installed_commands() -> list[EntryPoint]:
    """Return the commands that other packages register (fit, report, power), by name."""
    return sorted(entry_points(group="engram_sweep.commands"), key=lambda point: point.name)


def _asked_commands(words: list[str]) -> list[EntryPoint]:
    """Return those commands of other packages that a command line asks for.

    They load one by one because their imports take seconds; `--help` and a bare call list them all.
    """
    if not words or words[0].startswith("-"):
        return _installed_commands()
    return [point for point in _installed_commands() if point.name == words[0]]


def _run(options: argparse.Namespace, own_process: bool) -> int:
    options.own_process = own_process
    try:
        return options.func(options)
    except UserError as error:
        print(f"engram-sweep: {printable(str(error))}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"engram-sweep: {printable(_refused(error))}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nstopped; the same command goes on from here", file=sys.stderr)
        return 130


def _refused(error: OSError) -> str:
    """Return what a file or a folder did not allow, and what its owner can do about it."""
    if not isinstance(error, PermissionError) or error.filename is None:
        return str(error)
    return (
        f"{error.filename}: you may not read or write it; its owner may let the group read, by "
        "group_readable: true under results: in the scale, and make sweep again"
    )


if __name__ == "__main__":
    sys.exit(main())
