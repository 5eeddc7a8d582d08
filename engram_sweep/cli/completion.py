"""`engram-sweep completion`: a shell script that completes commands, options, scales and keys.

The script is made once, from the parser, and starts no Python: a tab key that takes half a second
is not pressed twice.
"""

from __future__ import annotations

import argparse
import re

SCRIPT = """\
# Completion of engram-sweep. Made by `engram-sweep completion {shell}`; to use it in this shell:
#     source <(engram-sweep completion {shell})
{head}_engram_sweep() {{
    local word=${{COMP_WORDS[COMP_CWORD]}} last=${{COMP_WORDS[COMP_CWORD - 1]}} words scale
    if [ "$COMP_CWORD" -eq 1 ]; then
        COMPREPLY=($(compgen -W "{commands}" -- "$word"))
        return
    fi
    if [ "$last" = --set ]; then
        compopt -o nospace 2> /dev/null
        COMPREPLY=($(compgen -S = -W "{keys}" -- "$word"))
        return
    fi
    case "${{COMP_WORDS[1]}}" in
{cases}
    esac
    if [ "${{word:0:1}}" != - ]; then
        words=
        for scale in sweeps/*.yaml; do
            [ -e "$scale" ] && words="$words $(basename "$scale" .yaml)"
        done
    fi
    COMPREPLY=($(compgen -W "$words" -- "$word"))
}}
complete -o default -F _engram_sweep engram-sweep
"""
HEADS = {
    "bash": "",
    "zsh": "autoload -U +X compinit bashcompinit && compinit && bashcompinit\n",
}
"""What each shell needs before the script."""


def register(commands) -> None:
    """Add `completion` to the command line."""
    summary = "a shell script that completes commands, options, scales and keys"
    command = commands.add_parser("completion", help=summary, description=summary)
    command.add_argument("shell", choices=sorted(HEADS), help="whose script to print")
    command.set_defaults(func=_completion)


def _completion(options: argparse.Namespace) -> int:
    from engram_sweep.cli.main import LIST_ALL, parser_of
    from engram_sweep.config.keys import keys

    names = [key.name for key in keys() if not key.is_section]
    print(script(options.shell, options_of(parser_of([*LIST_ALL])), names), end="")
    return 0


def options_of(parser: argparse.ArgumentParser) -> dict[str, list[str]]:
    """Return the long options of each command.

    Args:
        parser: of the whole command line.
    """
    (commands,) = (
        action.choices
        for action in parser._actions
        if isinstance(action, argparse._SubParsersAction)
    )
    return {
        name: sorted(set(re.findall(r"--[a-z][a-z-]*", command.format_help())))
        for name, command in commands.items()
    }


def script(shell: str, options: dict[str, list[str]], keys: list[str]) -> str:
    """Return the script of a shell.

    Args:
        shell: a key of `HEADS`.
        options: long options by command.
        keys: what `--set` takes.
    """
    cases = [f'        {name}) words="{" ".join(found)}" ;;' for name, found in options.items()]
    return SCRIPT.format(
        shell=shell,
        head=HEADS[shell],
        commands=" ".join(options),
        keys=" ".join(keys),
        cases="\n".join(cases),
    )
