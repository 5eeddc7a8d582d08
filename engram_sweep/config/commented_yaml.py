"""A scale as YAML in which every line has its reason beside it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

Reasoned = tuple[Any, str]
"""A value and why it is what it is; no reason if the key says it."""
Sections = Mapping[str, Mapping[str, Reasoned]]
"""Section -> key -> value and reason, in the order of the file."""
MAX_COLUMN = 32
"""Column in which comments begin, unless a value reaches beyond it."""
MIN_GROUPED = 10_000
"""Integers from here on are written in groups of three digits."""


def commented(head: list[str], about: str, sections: Sections) -> str:
    """Return the text of a scale.

    Args:
        head: lines of comment above the first key.
        about: what the sweep is, in one line.
        sections: what it holds.
    """
    lines = [f"# {line}" for line in head]
    lines.append(f"about: {json.dumps(about, ensure_ascii=False)}")
    for section, keys in sections.items():
        lines += ["", f"{section}:"]
        for key, (value, reason) in keys.items():
            line = f"  {key}: {as_yaml(value)}"
            lines.append(f"{line:<{MAX_COLUMN}} # {reason}" if reason else line)
    return "\n".join([*lines, ""])


def plain(sections: Sections) -> dict[str, dict[str, Any]]:
    """Return the values of sections without their reasons: what the file will hold."""
    return {
        section: {key: value for key, (value, _) in keys.items()}
        for section, keys in sections.items()
    }


def as_yaml(value: Any) -> str:
    """Return a value on one line of YAML, as a person would write it.

    Example:
        `as_yaml(1_200_000)` is `"1_200_000"`, `as_yaml([1.0, 0.5])` is `"[1.0, 0.5]"`.
    """
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= MIN_GROUPED:
        return f"{value:_}"
    if isinstance(value, float):
        return (
            f"{value:.1f}" if value == round(value) and abs(value) < MIN_GROUPED else f"{value:g}"
        )
    if isinstance(value, str) and re.fullmatch(r"[a-z][a-z0-9-]*", value) and not _is_other(value):
        return value
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(as_yaml, value))}]"
    return json.dumps(value, ensure_ascii=False)


def _is_other(word: str) -> bool:
    """Return whether YAML reads a bare word as something else than text."""
    return word in ("true", "false", "yes", "no", "on", "off", "null", "y", "n")
