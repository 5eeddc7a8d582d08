"""`--set section.key=value`: values in place of those of a scale's file, for one command.

Changes have one text each, whatever way they were written, so that the same changes name the same
sweep: `--set training.tokens=1e9` and `--set training.tokens=1_000_000_000` are one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Sequence
from copy import deepcopy
from typing import Any

from engram_sweep.config.strict_yaml import read_value
from engram_sweep.errors import UserError

_CHANGE = re.compile(r"(?P<key>\w+(\.\w+)*)=(?P<value>.*)", re.DOTALL)


def read_changes(texts: Sequence[str]) -> tuple[str, ...]:
    """Return changes as their one text each, sorted by key.

    Args:
        texts: `section.key=value`, the value in YAML.

    Raises:
        UserError: a text is no such thing, or a key is given twice.

    Example:
        `read_changes(["training.tokens=1e9"])` is `("training.tokens=1000000000",)`.
    """
    found: dict[str, str] = {}
    for text in texts:
        parts = _CHANGE.fullmatch(text)
        if parts is None:
            raise UserError(
                f"--set: expected section.key=value, e.g. training.tokens=1e9, got {text!r}"
            )
        key = parts["key"]
        if key in found:
            raise UserError(f"--set {text}: expected each key once, {key} is given twice")
        try:
            value = json.dumps(read_value(parts["value"]), sort_keys=True, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise UserError(f"--set {text}: expected a value in YAML: {error}") from None
        found[key] = f"{key}={value}"
    return tuple(found[key] for key in sorted(found))


def with_changes(data: dict[str, Any], changes: Collection[str]) -> dict[str, Any]:
    """Return what a file holds with changes in place.

    Args:
        data: the file's mapping.
        changes: as `read_changes` returns them.

    Raises:
        UserError: a key lies below something that is no section.
    """
    changed = deepcopy(data)
    for change in changes:
        dotted, _, value = change.partition("=")
        *sections, key = dotted.split(".")
        inside = changed
        for name in sections:
            if inside.get(name) is None:
                inside[name] = {}
            inside = inside[name]
            if not isinstance(inside, dict):
                raise UserError(f"--set {change}: expected a section above the key, {name} is none")
        inside[key] = json.loads(value)
    return changed
