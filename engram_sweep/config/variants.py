"""Variants of the Engram module: named changes of a scale's own `memory.*` keys.

`sweep.variants: {no_gate: {memory.gate: false}}` is checked as if its keys stood in the scale.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from engram_sweep.config.sections import Memory
from engram_sweep.config.strict_yaml import first_problem

PREFIX = "memory."
"""Of every key that a variant may change."""
NAME = re.compile("[a-z0-9][a-z0-9_]*")
"""Names are parts of arms' names, in records and figures."""


def varied(memory: Memory, name: str, changes: Mapping[str, Any]) -> Memory:
    """Return a scale's memory with the changes of a variant.

    Args:
        memory: that of the scale.
        name: of the variant.
        changes: dotted keys of the scale and their values.

    Raises:
        ValueError: the name or a key is none, a value is impossible, or nothing is changed.

    Example:
        `varied(memory, "first_block", {"memory.layers": [0]}).layers` is `(0,)`.
    """
    at = f"variants.{name}"
    if not NAME.fullmatch(name):
        raise ValueError(
            f"variants: expected names of small letters, digits and _, e.g. no_gate, got {name!r}"
        )
    for key in changes:
        if not key.startswith(PREFIX):
            raise ValueError(f"{at}: expected keys of memory, e.g. memory.gate, got {key!r}")
    given = {key.removeprefix(PREFIX): value for key, value in changes.items()}
    try:
        found = Memory.model_validate({**memory.model_dump(), **given})
    except ValidationError as error:
        raise ValueError(f"{at}.{PREFIX}{first_problem(error, Memory)}") from None
    if found == memory:
        raise ValueError(
            f"{at}: expected a change, memory has these values already: {dict(changes)}"
        )
    return found


def check_variants(memory: Memory, variants: Mapping[str, Mapping[str, Any]]) -> None:
    """Check every variant, and that no two are one.

    Raises:
        ValueError: one cannot be, or is another by a second name.
    """
    seen: dict[str, Memory] = {}
    for name, changes in variants.items():
        found = varied(memory, name, changes)
        for other, theirs in seen.items():
            if theirs == found:
                raise ValueError(f"variants.{name}: expected another change than {other} has")
        seen[name] = found
