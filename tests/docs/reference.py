"""The pages docs/columns.md and docs/commands.md, made from the code: `make keys` writes them."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from pathlib import Path

from engram_sweep.cli.main import parser_of
from engram_sweep.runs.record_schema import SCHEMA, SCHEMA_VERSION
from tests.examples import ROOT


def columns_page() -> str:
    """Return the page of the columns of a record."""
    lines = [
        "# Columns of a record",
        "",
        "Made by `make keys` from `engram_sweep/runs/record_schema.py`, version "
        f"{SCHEMA_VERSION}. A record is one row (`results/<scale>/runs/<run_id>/record.parquet`); "
        "`engram-sweep export SCALE FILE` puts those of a sweep into one table, parquet or CSV by "
        "the file's suffix. Records of earlier versions lack columns and stay readable.",
        "",
        "| column | type | unit or meaning |",
        "|---|---|---|",
    ]
    for field in SCHEMA:
        kind = str(field.type).replace("item: ", "").replace("<", " of ").replace(">", "")
        unit = (field.metadata or {}).get(b"unit", b"").decode()
        lines.append(f"| `{field.name}` | {kind}{', or null' * field.nullable} | {unit} |")
    return "\n".join(lines) + "\n"


def commands_page() -> str:
    """Return the page of all commands and their options."""
    parser = parser_of(["--help"])
    lines = [
        "# Commands",
        "",
        "Made by `make keys` from the parser. `engram-sweep` lies in `.venv/bin`; `make COMMAND "
        "SCALE=NAME ARGS='...'` runs most of them. Exit codes: 0 well, 1 a run failed, 2 bad input "
        "(one line), 130 stopped by Ctrl-C, 141 if nobody reads the output to its end.",
    ]
    for name, command in sorted(_commands(parser)):
        lines += ["", f"## {name}", "", f"{_sentence(command.description)}", ""]
        lines += ["| | |", "|---|---|"]
        lines += list(_rows(command))
        for inner, below in sorted(_commands(command)):
            lines += ["", f"### {name} {inner}", "", f"{_sentence(below.description)}", ""]
            lines += ["| | |", "|---|---|", *_rows(below)]
    return "\n".join(lines) + "\n"


def _commands(parser: argparse.ArgumentParser) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            yield from action.choices.items()


def _rows(parser: argparse.ArgumentParser) -> Iterator[str]:
    """Yield a line of the table for each option, in the order of `--help`."""
    for action in parser._actions:
        if isinstance(action, argparse._HelpAction):
            continue
        if isinstance(action, argparse._SubParsersAction):
            names = ", ".join(f"`{name}`" for name in action.choices)
            yield f"| one of | {names} |"
            continue
        takes = _takes(action)
        shown = ", ".join(action.option_strings) or takes
        if action.option_strings and takes:
            shown += f" {takes}"
        words = (action.help or "").replace("%%", "%").replace("|", "\\|")
        yield f"| `{shown}` | {words} |"


def _takes(action: argparse.Action) -> str:
    """Return the metavar of what an option takes, nothing for a flag."""
    if action.nargs == 0:
        return ""
    if action.choices is not None:
        return "{" + ",".join(map(str, action.choices)) + "}"
    name = action.metavar if isinstance(action.metavar, str) else action.dest
    if action.option_strings and action.metavar is None:
        name = name.upper()
    return {"?": f"[{name}]", "*": f"[{name} ...]", "+": f"{name} ..."}.get(str(action.nargs), name)


def _sentence(text: str | None) -> str:
    words = " ".join((text or "").split())
    return words[:1].upper() + words[1:] + "." * (not words.endswith("."))


PAGES = {"columns.md": columns_page, "commands.md": commands_page}
"""Pages in docs/, and what makes them."""


def write(folder: Path) -> None:
    """Write all pages."""
    for name, page in PAGES.items():
        (folder / name).write_text(page())


if __name__ == "__main__":
    # Some defaults come from the environment.
    for variable in ("EXECUTOR", "DRY_RUN"):
        os.environ.pop(variable, None)
    write(ROOT / "docs")
