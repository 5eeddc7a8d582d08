"""What is noted of an adaptive sweep beside its runs: its rules, and what every look decided.

The rules are written before the first run and never changed after it: a stopping width that is
chosen when losses are known says nothing. The looks are there to be read; a sweep that goes on does
not ask them, it looks at the records again.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

from engram_sweep.atomic_files import read_fields, write_json
from engram_sweep.errors import UserError
from engram_sweep.runs.records import note_file

STEM = "design"
"""Name of the note, before the digest of changes and `.json`."""


def read_design(scale: str, results: Path, changes: Collection[str] = ()) -> dict[str, Any] | None:
    """Return `rules` (a dictionary) and `looks` (a list) of an adaptive sweep; None of another.

    Args:
        scale: its name.
        results: results folder.
        changes: `Scale.changes`.
    """
    return read_fields(note_file(STEM, scale, results, changes), rules=dict, looks=list)


def write_rules(
    scale: str, rules: dict[str, Any], results: Path, changes: Collection[str] = ()
) -> None:
    """Note the rules of a sweep before its first run.

    Args:
        scale: its name; its folder is there.
        rules: plain data.
        results: results folder.
        changes: `Scale.changes`.

    Raises:
        UserError: other rules were noted before.
        OSError: the note cannot be written.
    """
    noted = read_design(scale, results, changes)
    if noted is None:
        write_json(note_file(STEM, scale, results, changes), {"rules": rules, "looks": []})
        return
    for key in sorted(rules.keys() | noted["rules"].keys()):
        before, now = noted["rules"].get(key), rules.get(key)
        if before != now:
            raise UserError(
                f"{note_file(STEM, scale, results, changes)}: {key}: expected {before} as noted "
                f"before the first run, got {now}; rules that change in mid-way stop on what they "
                "see, so a sweep with others needs a name or a results folder of its own"
            )


def write_looks(
    scale: str, looks: list[dict[str, Any]], results: Path, changes: Collection[str] = ()
) -> None:
    """Note what looks decided, beside the rules.

    Args:
        scale: its name.
        looks: plain data, the first look first.
        results: results folder.
        changes: `Scale.changes`.

    Raises:
        OSError: the note cannot be written.
    """
    noted = read_design(scale, results, changes)
    if noted is not None and noted["looks"] != looks:
        write_json(note_file(STEM, scale, results, changes), {**noted, "looks": looks})
