"""`engram-sweep keys`: what a scale may say, from the classes that check it."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING

from engram_sweep.errors import UserError, did_you_mean

if TYPE_CHECKING:
    from engram_sweep.config.keys import Key


def register(commands) -> None:
    """Add `keys` to the command line."""
    summary = "every key of a scale: type, default, meaning"
    command = commands.add_parser("keys", help=summary, description=summary)
    command.add_argument(
        "word", nargs="?", help="show keys whose name contains it, e.g. training or learning_rate"
    )
    how = command.add_mutually_exclusive_group()
    how.add_argument("--schema", action="store_true", help="the JSON schema, for editors")
    how.add_argument("--markdown", action="store_true", help="the page docs/keys.md")
    command.set_defaults(func=_keys)


def _keys(options: argparse.Namespace) -> int:
    from engram_sweep.config import keys

    if options.word and (options.schema or options.markdown):
        raise UserError(
            "keys: expected no word beside --schema and --markdown, which hold all keys"
        )
    if options.schema:
        print(json.dumps(keys.schema(), indent=1))
        return 0
    found = keys.keys()
    if options.markdown:
        print(markdown(found))
        return 0
    shown = [key for key in found if not options.word or options.word in key.name]
    if not shown:
        names = [part for key in found for part in (key.name, key.name.rpartition(".")[2])]
        meant = did_you_mean(options.word, names)
        raise UserError(f"keys: no key contains {options.word!r}{meant}")
    for key in shown:
        print(f"{key.name}: {_terms(key)}" if not key.is_section else f"{key.name}:")
        print(f"    {key.about}")
    return 0


def markdown(found: list[Key]) -> str:
    """Return the page of all keys, a table for each section."""
    lines = [
        "# Keys of a scale",
        "",
        "Made by `make keys` from the classes that check a scale; `engram-sweep keys WORD` looks "
        "one up. `--set section.key=value` puts a value in place of the file's, and "
        "`sweeps/schema.json` lets editors complete and check keys.",
    ]
    top = [key for key in found if "." not in key.name and not key.is_section]
    lines += ["", *_table(top, "")]
    for section in (key for key in found if key.is_section):
        inside = [
            key
            for key in found
            if key.name.rpartition(".")[0] == section.name and not key.is_section
        ]
        lines += ["", f"## {section.name}", "", section.about]
        lines += ["", *_table(inside, f"{section.name}.")] if inside else []
    return "\n".join(lines)


def _table(found: list[Key], above: str) -> list[str]:
    rows = [
        f"| `{key.name.removeprefix(above)}` | {key.kind} | {_default(key)} | {key.about} |"
        for key in found
    ]
    return ["| key | takes | default | meaning |", "|---|---|---|---|", *rows]


def _default(key: Key) -> str:
    if key.default is None:
        return "**required**"
    return key.default if key.default == "left out" else f"`{key.default}`"


def _terms(key: Key) -> str:
    return f"{key.kind}; " + ("required" if key.default is None else f"default: {key.default}")
