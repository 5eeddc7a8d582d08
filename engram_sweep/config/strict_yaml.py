"""YAML without surprises: safe, no key twice, 1e-3 and 1e9 are numbers, one line a mistake."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from engram_sweep.atomic_files import read_plain
from engram_sweep.errors import UserError, nearest


class Section(BaseModel):
    """A part of what a user writes. Strict: unknown keys and silent conversions are errors."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class _Loader(yaml.SafeLoader):
    """Safe YAML that refuses a key given twice and reads 1e-3 as a number, 1e9 as an integer."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        for key in keys:
            if keys.count(key) > 1:
                raise yaml.MarkedYAMLError(
                    problem=f"key {key!r} is given twice", problem_mark=node.start_mark
                )
        return super().construct_mapping(node, deep)

    def construct_yaml_float(self, node: yaml.ScalarNode) -> float | int:
        """Return an integer if the number is one: people write 2.5e6 tokens.

        A key that takes any number gets the same value.
        """
        value = super().construct_yaml_float(node)
        return int(value) if math.isfinite(value) and value == int(value) else value


# YAML 1.1 reads yes, no, on and off as truth values; people write them and mean words.
_Loader.yaml_implicit_resolvers = {
    first: [each for each in resolvers if each[0] != "tag:yaml.org,2002:bool"]
    for first, resolvers in _Loader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:bool", re.compile("^(true|True|TRUE|false|False|FALSE)$"), list("tTfF")
)
_Loader.add_constructor("tag:yaml.org,2002:float", _Loader.construct_yaml_float)
# YAML 1.1 wants "1.0e-3"; people write 3e-3 and mean a number.
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?\d+(\.\d*)?[eE][-+]?\d+$"), list("+-0123456789")
)


def read_mapping(path: Path) -> dict[str, Any]:
    """Return the mapping of a YAML file; empty if the file holds no mapping with names for keys.

    Raises:
        UserError: the file is no readable UTF-8 text or no YAML.
    """
    try:
        data = yaml.load(read_plain(path).decode("utf8"), _Loader)
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: expected a readable UTF-8 file: {error}") from None
    # Beside YAML's own errors: impossible dates and endless integers (ValueError), endless nesting
    # (RecursionError).
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        line = f" line {mark.line + 1}:" if mark else ""
        problem = str(getattr(error, "problem", None) or error).splitlines()[0]
        raise UserError(f"{path}:{line} not valid YAML: {problem}") from None
    return data if isinstance(data, dict) and all(isinstance(key, str) for key in data) else {}


PLAIN = {
    "bool_type": "true or false",
    "dict_type": "keys with values",
    "float_type": "a number",
    "int_from_float": "an integer",
    "int_type": "an integer",
    "model_type": "keys with values",
    "string_type": "a text",
    "tuple_type": "a list, e.g. [1, 0.5]",
}
"""What pydantic's types of error ask for, in words that no library uses."""


def read_value(text: str) -> Any:
    """Return a value that is written as in a YAML file, e.g. `1e9`, `[1, 0.5]`, `muon`.

    Raises:
        ValueError: it is no YAML.
    """
    try:
        return yaml.load(text, _Loader)
    except (yaml.YAMLError, RecursionError) as error:
        raise ValueError(str(getattr(error, "problem", None) or error).splitlines()[0]) from None


def first_problem(
    error: ValidationError, root: type[BaseModel], hidden: tuple[str, ...] = ()
) -> str:
    """Return the first validation error as `section.key: what was expected, what was found`.

    Args:
        error: what pydantic found.
        root: the model that was validated.
        hidden: fields of it that no file holds.
    """
    # An unknown key first: what is missing is mostly what it was meant to be.
    problems = sorted(error.errors(), key=lambda each: each["type"] != "extra_forbidden")
    problem, more = problems[0], len(problems) - 1
    key = ".".join(str(part) for part in problem["loc"])
    message = problem["msg"].removeprefix("Value error, ")
    separator = "." if problem["type"] == "value_error" else ": "
    if problem["type"] == "extra_forbidden":
        *above, written = problem["loc"]
        known = [name for name in _keys_at(tuple(above), root) if name not in hidden]
        meant = nearest(str(written), known)
        message = f"unknown key, did you mean {meant}?"
        if meant is None:
            message = f"unknown key, expected one of {', '.join(known)}"
        more -= any((*above, meant) == each["loc"] for each in problems)
    elif problem["type"] == "missing":
        message = "expected this key, it is missing"
    elif problem["type"] in PLAIN:
        message = f"expected {PLAIN[problem['type']]}, got {_short(problem['input'])}"
    elif problem["type"] != "value_error":
        message = f"{message[0].lower()}{message[1:]}, got {_short(problem['input'])}"
        message = message.replace("input should", "expected it to")
    # What a whole file gets wrong names its key in the message.
    place = f"{key}{separator}" if key else ""
    return f"{place}{message}" + (f" (and {more} more problem{'s'[: more > 1]})" if more else "")


def _short(value: object, most: int = 60) -> str:
    """Return what was found, on one line of bounded length."""
    text = repr(value)
    return text if len(text) <= most else f"{text[:most]}..."


def _keys_at(loc: tuple[int | str, ...], model: type[BaseModel]) -> list[str]:
    for part in loc:
        hint = model.model_fields[str(part)].annotation
        model = next(
            t for t in (hint, *get_args(hint)) if isinstance(t, type) and issubclass(t, BaseModel)
        )
    return list(model.model_fields)
