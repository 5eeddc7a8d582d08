"""YAML without surprises: safe, no key twice, 1e-3 and 1e9 are numbers, one line a mistake."""

from __future__ import annotations

import math
import re
from collections.abc import Hashable
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from engram_sweep.atomic_files import read_plain
from engram_sweep.errors import UserError, nearest


class Section(BaseModel):
    """A part of what a user writes. Strict: unknown keys and silent conversions are errors."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


_TAG = "tag:yaml.org,2002:"
_DIGITS = "[0-9][0-9_]*"
_EXPONENT = "[eE][-+]?[0-9]+"
SCALARS = {
    f"{_TAG}null": ("~|null|Null|NULL|", ["~", "n", "N", ""]),
    f"{_TAG}bool": ("true|True|TRUE|false|False|FALSE", list("tTfF")),
    f"{_TAG}int": ("[-+]?(0|[1-9][0-9_]*|0x[0-9a-fA-F]+|0b[01]+)", list("-+0123456789")),
    f"{_TAG}float": (
        rf"[-+]?({_DIGITS}\.[0-9_]*({_EXPONENT})?|\.{_DIGITS}({_EXPONENT})?|{_DIGITS}{_EXPONENT})"
        r"|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
        list("-+.0123456789"),
    ),
}
"""What is no text, by its tag: how it is written, and the letters that it may begin with.

YAML 1.1 has more: yes and no are truth values there, 4:33 is 273, 010 is 8, and a date is no text.
It wants "1.0e-3"; people write 3e-3 and mean a number."""
TAGS = {*SCALARS, f"{_TAG}str", f"{_TAG}seq", f"{_TAG}map"}
"""Tags that there are, written (`!!str 1`) or not. Sets, binaries, merges and objects have none."""
MAX_DIGITS = 250
"""Of an integer; every float holds it then."""
MAX_SIZE = 1_000_000
"""Values and letters of a text, everything that an alias stands for counted again."""


class _Loader(yaml.SafeLoader):
    """Safe YAML that refuses a key given twice and reads 1e-3 as a number, 1e9 as an integer."""

    def get_single_node(self) -> yaml.Node | None:
        """Return the text's one node, refusing what aliases blow up."""
        node = super().get_single_node()
        if node is not None:
            self._size(node, {})
        return node

    def _size(self, node: yaml.Node, sizes: dict[int, int | None]) -> int:
        """Return values and letters below a node; `sizes` has those of nodes that are known.

        Raises:
            yaml.MarkedYAMLError: they are more than `MAX_SIZE`, or a node lies in itself.
        """
        if id(node) not in sizes:
            sizes[id(node)] = None
            children = node.value
            if isinstance(node, yaml.MappingNode):
                children = [each for pair in node.value for each in pair]
            inside = (
                len(node.value)
                if isinstance(node, yaml.ScalarNode)
                else sum(self._size(child, sizes) for child in children)
            )
            sizes[id(node)] = 1 + inside
        size = sizes[id(node)]
        if size is None or size > MAX_SIZE:
            raise _problem(node, "expected no alias inside itself" if size is None else _TOO_LONG)
        return size

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        """Return what a node holds, refusing tags that it has no right to."""
        if node.tag not in TAGS:
            raise _problem(node, f"expected no tag {node.tag.replace(_TAG, '!!')}")
        pattern, _ = SCALARS.get(node.tag, (None, None))
        is_scalar = isinstance(node, yaml.ScalarNode)
        if pattern is not None and is_scalar and not re.fullmatch(pattern, node.value):
            raise _problem(
                node, f"{node.value[:60]!r} is not how a {node.tag.removeprefix(_TAG)} is written"
            )
        return super().construct_object(node, deep)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key, _ in node.value if isinstance(node, yaml.MappingNode) else ():
            value = self.construct_object(key, deep=True)
            # What cannot be a key is refused below.
            if isinstance(value, Hashable):
                if value in seen:
                    raise _problem(node, f"key {value!r} is given twice")
                seen.add(value)
        return super().construct_mapping(node, deep)

    def construct_yaml_int(self, node: yaml.ScalarNode) -> int:
        if len(node.value) > MAX_DIGITS:
            raise _problem(node, f"expected numbers of at most {MAX_DIGITS} digits")
        return super().construct_yaml_int(node)

    def construct_yaml_float(self, node: yaml.ScalarNode) -> float | int:
        """Return an integer if the number is one: people write 2.5e6 tokens.

        A key that takes any number gets the same value.
        """
        value = super().construct_yaml_float(node)
        return int(value) if math.isfinite(value) and value == int(value) else value


_TOO_LONG = f"expected at most {MAX_SIZE:,} values and letters, with what aliases stand for"


def _problem(node: yaml.Node, words: str) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=words, problem_mark=node.start_mark)


_Loader.yaml_implicit_resolvers = {}
for _tag, (_pattern, _first) in SCALARS.items():
    _Loader.add_implicit_resolver(_tag, re.compile(f"^({_pattern})$"), _first)
_Loader.add_constructor(f"{_TAG}int", _Loader.construct_yaml_int)
_Loader.add_constructor(f"{_TAG}float", _Loader.construct_yaml_float)


def read_mapping(path: Path) -> dict[str, Any]:
    """Return the mapping of a YAML file; empty if the file holds no mapping with names for keys.

    Raises:
        UserError: the file is no readable UTF-8 text or no YAML.
    """
    try:
        data = yaml.load(read_plain(path).decode("utf8"), _Loader)
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: expected a readable UTF-8 file: {error}") from None
    # Beside YAML's own errors: endless nesting (RecursionError).
    except (yaml.YAMLError, RecursionError) as error:
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
        message = re.sub("^(input|string) should", "expected it to", message)
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
