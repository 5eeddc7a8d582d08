"""Every key that a scale may have, with its type, default and meaning, read from the classes.

The reference in docs/keys.md and the JSON schema for editors are made of it; so neither can say
anything else than what a scale is checked against.
"""

from __future__ import annotations

import ast
import inspect
import json
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import Any, get_args

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from engram_sweep.config.scale import HIDDEN, Scale


@dataclass(frozen=True)
class Key:
    """One key of a scale."""

    name: str
    """With its section: `training.tokens`."""
    kind: str
    """What it takes, in words: `integer, at least 1`."""
    default: str | None
    """What counts if it is left out, as YAML; None if it has to be given."""
    about: str
    """Its docstring, or its section's."""
    is_section: bool = False
    """Whether it has keys of its own."""


def keys() -> list[Key]:
    """Return all keys in the order of the classes, a section before its keys."""
    schema = _schema_of(Scale)
    return list(_keys(Scale, "", schema, schema["$defs"]))


def schema() -> dict[str, Any]:
    """Return the JSON schema of a scale's file, by which editors complete and check it."""
    found = _schema_of(Scale)
    for name in HIDDEN:
        found["properties"].pop(name, None)
    found["required"] = [name for name in found["required"] if name not in HIDDEN]
    about = {"title": "a scale of engram-sweep", "description": _about_class(Scale)}
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **found, **about}


def _schema_of(model: type[BaseModel]) -> dict[str, Any]:
    """Return pydantic's schema, with docstrings as descriptions and without made-up titles."""
    found = model.model_json_schema()
    sections = {each.__name__: each for each in _sections(model)}
    for name, part in [(model.__name__, found), *found.get("$defs", {}).items()]:
        part.pop("title", None)
        part["description"] = _about_class(sections[name])
        docs = _docstrings(sections[name])
        for key, field in part["properties"].items():
            field.pop("title", None)
            if key in docs:
                field["description"] = docs[key]
    return found


def _sections(model: type[BaseModel]) -> Iterator[type[BaseModel]]:
    """Yield a section and all sections inside it."""
    yield model
    for field in model.model_fields.values():
        inside = _section_of(field.annotation)
        if inside is not None:
            yield from _sections(inside)


def _section_of(annotation: Any) -> type[BaseModel] | None:
    """Return the section that a field holds, None if it holds a value."""
    for part in (annotation, *get_args(annotation)):
        if isinstance(part, type) and issubclass(part, BaseModel):
            return part
    return None


def _keys(
    model: type[BaseModel], above: str, part: dict[str, Any], parts: dict[str, Any]
) -> Iterator[Key]:
    docs = _docstrings(model)
    for name, field in model.model_fields.items():
        if model is Scale and name in HIDDEN:
            continue
        dotted = f"{above}{name}"
        inside = _section_of(field.annotation)
        if inside is not None:
            default = None if field.is_required() else "left out"
            about = docs.get(name) or _about_class(inside)
            yield Key(dotted, "section", default, about, is_section=True)
            yield from _keys(inside, f"{dotted}.", parts[inside.__name__], parts)
            continue
        default = None if field.is_required() else _as_yaml(field.get_default())
        yield Key(dotted, _kind(part["properties"][name]), default, docs.get(name, ""))


def _as_yaml(value: object) -> str:
    if value is None or value is PydanticUndefined:
        return "left out"
    return value if isinstance(value, str) else json.dumps(value)


LIMITS = {
    "minimum": "at least",
    "exclusiveMinimum": "above",
    "maximum": "at most",
    "exclusiveMaximum": "below",
    "multipleOf": "a multiple of",
}
"""JSON schema's limits in words."""
KINDS = {"integer": "integer", "number": "number", "boolean": "true or false", "string": "text"}
"""JSON schema's types in words."""


def _kind(part: dict[str, Any]) -> str:
    """Return what a key takes, in words."""
    if "anyOf" in part:
        # A key that may be left out takes null too, which says nothing.
        return " or ".join(_kind(each) for each in part["anyOf"] if each.get("type") != "null")
    if "enum" in part:
        return "one of " + ", ".join(map(str, part["enum"]))
    if "const" in part:
        return str(part["const"])
    if part["type"] == "object":
        return "names, each with keys and values"
    if part["type"] == "array":
        items = part.get("items") or part["prefixItems"][0]
        count = f" of {part['maxItems']}" if part.get("maxItems") else ""
        return f"list{count}, each: {_kind(items)}"
    limits = [f"{words} {part[key]:g}" for key, words in LIMITS.items() if key in part]
    return ", ".join([KINDS[part["type"]], *limits])


def _about_class(model: type[BaseModel]) -> str:
    return _joined(inspect.getdoc(model) or "")


@cache
def _docstrings(model: type[BaseModel]) -> dict[str, str]:
    """Return the docstrings below the fields of a class, by field."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(model)))
    body = tree.body[0].body if isinstance(tree.body[0], ast.ClassDef) else []
    found = {}
    for field, below in pairwise(body):
        text = below.value if isinstance(below, ast.Expr) else None
        if isinstance(field, ast.AnnAssign) and isinstance(text, ast.Constant):
            found[ast.unparse(field.target)] = _joined(str(text.value))
    return found


def _joined(text: str) -> str:
    """Return a docstring as one line."""
    return " ".join(text.split())
