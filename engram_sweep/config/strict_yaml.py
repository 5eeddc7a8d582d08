"""YAML without surprises: safe, no key twice, 1e-3 is a number, one line for every mistake."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from engram_sweep.atomic_files import read_plain
from engram_sweep.errors import UserError


class Section(BaseModel):
    """A part of what a user writes. Strict: unknown keys and silent conversions are errors."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class _Loader(yaml.SafeLoader):
    """Safe YAML that refuses a key given twice and reads 1e-3 as a number."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        for key in keys:
            if keys.count(key) > 1:
                raise yaml.MarkedYAMLError(
                    problem=f"key {key!r} is given twice", problem_mark=node.start_mark
                )
        return super().construct_mapping(node, deep)


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


def first_problem(
    error: ValidationError, root: type[BaseModel], hidden: tuple[str, ...] = ()
) -> str:
    """Return the first validation error as `section.key: what was expected, what was found`.

    Args:
        error: what pydantic found.
        root: the model that was validated.
        hidden: fields of it that no file holds.
    """
    problem = error.errors()[0]
    key = ".".join(str(part) for part in problem["loc"])
    message = problem["msg"].removeprefix("Value error, ")
    separator = "." if problem["type"] == "value_error" and key else ": "
    if problem["type"] == "extra_forbidden":
        known = [name for name in _keys_at(problem["loc"][:-1], root) if name not in hidden]
        message = f"unknown key, expected one of {', '.join(known)}"
    elif problem["type"] == "missing":
        message = "expected this key, it is missing"
    elif problem["type"] != "value_error":
        message = f"{message[0].lower()}{message[1:]}, got {_short(problem['input'])}"
        message = message.replace("input should", "expected it to")
    more = error.error_count() - 1
    return f"{key}{separator}{message}" + (
        f" (and {more} more problem{'s'[: more > 1]})" if more else ""
    )


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
