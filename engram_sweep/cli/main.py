"""`engram-sweep`: the parser, and the commands of this and other packages.

A command is a function `register(commands)` that adds its parser. Commands import what they need
when they run, because `plan` should not wait for the imports of `sweep`.

Exit codes: 0 well, 1 a run failed, 2 bad input (one line on stderr), 130 stopped by Ctrl-C, 141 if
nobody reads the output to its end (`| head -1`).
"""

from __future__ import annotations

import gc
import os
import sys
from importlib.metadata import entry_points

from engram_sweep import __version__
from engram_sweep.cli import (
    completion,
    data,
    doctor,
    export,
    inside,
    inspect_ngrams,
    keys,
    logs,
    plan,
    rehearse,
    status,
    sweep,
    tune,
)
from engram_sweep.cli.parser import Parser
from engram_sweep.errors import UserError, did_you_mean, printable

COMMANDS = (
    data.register,
    plan.register,
    rehearse.register,
    sweep.register,
    status.register,
    status.register_cancel,
    logs.register,
    sweep.register_rerun_failed,
    export.register,
    inside.register,
    tune.register,
    inspect_ngrams.register,
    keys.register,
    doctor.register,
    completion.register,
)
"""Commands of this package, in the order of `--help`."""
VERSION = ("-V", "--version")
NOBODY_READS = 141
"""As a shell reports a process that SIGPIPE (13) ended: 128 + 13."""
LIST_ALL = ("-h", "--help")
"""Options that show the commands of other packages too."""


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return the exit code.

    Args:
        arguments: the words after `engram-sweep`; those of the process if left out.
    """
    try:
        try:
            return _main(arguments)
        finally:
            # What nobody reads is found here, not after the end; a closed output is None.
            if sys.stdout:
                sys.stdout.flush()
    except BrokenPipeError:
        # Python would complain about it once more at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return NOBODY_READS
    except UserError as error:
        print(f"engram-sweep: {printable(str(error))}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"engram-sweep: {printable(_refused(error))}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nstopped; the same command goes on from here", file=sys.stderr)
        return 130


def _main(arguments: list[str] | None) -> int:
    if arguments is not None:
        options = parser_of(arguments).parse_args(arguments)
        options.own_process = False
        return options.func(options)
    # Imports leave no garbage, and looking for it takes a tenth of their time.
    gc.disable()
    options = parser_of(sys.argv[1:]).parse_args()
    gc.freeze()
    gc.enable()
    options.own_process = True
    return options.func(options)


def parser_of(words: list[str]) -> Parser:
    """Return the parser for a command line.

    The commands of other packages load one by one because their imports take time; `--help` lists
    them all.

    Args:
        words: the words after `engram-sweep`.

    Raises:
        UserError: they name no command, or one that there is not.
    """
    parser = Parser(
        prog="engram-sweep", description="Loss over the share of memory, at a fixed budget."
    )
    version = f"engram-sweep {__version__}"
    parser.add_argument(*VERSION, action="version", version=version)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for register in COMMANDS:
        register(commands)
    others = sorted(entry_points(group="engram_sweep.commands"), key=lambda point: point.name)
    _check_command(words, [*commands.choices, *(point.name for point in others)])
    for point in others:
        if words[0] in (point.name, *LIST_ALL):
            point.load()(commands)
    return parser


def _check_command(words: list[str], known: list[str]) -> None:
    """Refuse a command line whose first word is no command.

    Raises:
        UserError: it is none, or there is no word.
    """
    there = f"there are: {', '.join(known)}"
    if not words:
        raise UserError(f"expected a command; {there}; engram-sweep --help says what they do")
    if words[0] not in (*known, *LIST_ALL, *VERSION):
        kind = "option" if words[0].startswith("-") else "command"
        meant = did_you_mean(words[0], [*known, *LIST_ALL, *VERSION])
        raise UserError(f"unknown {kind} {words[0]!r}{meant}; {there}")


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
