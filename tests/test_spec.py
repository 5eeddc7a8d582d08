from __future__ import annotations

import json
import math
from dataclasses import fields, is_dataclass, replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engram_sweep.planning.plan import make_plan
from engram_sweep.spec import RunSpec, canonical_json, from_json, run_id
from tests.examples import load, scale

SPEC = make_plan(scale()).runs[2].spec


def leaves(value: Any, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """Paths of all fields of a nested spec."""
    found = []
    for field in fields(value):
        inner = getattr(value, field.name)
        found += (
            leaves(inner, (*path, field.name)) if is_dataclass(inner) else [(*path, field.name)]
        )
    return found


def changed(value: Any, path: tuple[str, ...]) -> Any:
    """The spec with the field at `path` changed to something else of its type."""
    name, *rest = path
    inner = getattr(value, name)
    return replace(value, **{name: changed(inner, tuple(rest)) if rest else other(inner)})


def other(value: Any) -> Any:
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return value + 1
    if isinstance(value, tuple):
        return (other(value[0]), *value[1:]) if value else (1,)
    return f"{value}x"


@pytest.mark.parametrize("path", leaves(SPEC), ids=".".join)
def test_every_field_is_part_of_the_identity(path):
    assert run_id(changed(SPEC, path)) != run_id(SPEC)


def test_identity_is_pinned():
    """A stored record must be found again by every later version.

    A change here breaks everyone's results.
    """
    spec = make_plan(load("smoke")).runs[1].spec
    assert run_id(spec) == PINNED


PINNED = "d6d2a4d16d683c64ed5d8b894c9f6464"


def test_identity_is_32_hex_digits_and_repeats():
    assert run_id(SPEC) == run_id(make_plan(scale()).runs[2].spec)
    assert len(run_id(SPEC)) == 32
    int(run_id(SPEC), 16)


@pytest.mark.parametrize("index", range(6))
def test_round_trip_through_json(index):
    spec = make_plan(scale()).runs[index].spec
    again = from_json(RunSpec, json.loads(canonical_json(spec)))
    assert again == spec
    assert hash(again) == hash(spec)
    assert canonical_json(again) == canonical_json(spec)


def test_whole_numbers_read_back_as_floats():
    data = json.loads(canonical_json(replace(SPEC, rho=1.0)))
    data["rho"], data["training"]["clip_norm"] = 1, 1
    again = from_json(RunSpec, data)
    assert (type(again.rho), type(again.training.clip_norm)) == (float, float)
    assert run_id(again) == run_id(replace(SPEC, rho=1.0))


@pytest.mark.parametrize("section", ["", "geometry", "training", "corpus"])
def test_another_version_s_keys_are_refused(section):
    data = json.loads(canonical_json(SPEC))
    where = data[section] if section else data
    where["new"] = 1
    with pytest.raises(ValueError, match="expected the keys"):
        from_json(RunSpec, data)
    del where["new"], where[sorted(where)[0]]
    with pytest.raises(ValueError, match="expected the keys"):
        from_json(RunSpec, data)


@pytest.mark.parametrize("damaged", [None, [], "spec", 3])
def test_no_mapping_is_no_spec(damaged):
    with pytest.raises(ValueError, match="RunSpec: expected"):
        from_json(RunSpec, damaged)


plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(plain)
@settings(max_examples=100)
def test_canonical_json_is_ascii_sorted_and_lossless(value):
    text = canonical_json(value)
    assert text.isascii()
    assert json.loads(text) == value
    assert canonical_json(json.loads(text)) == text


def test_key_order_does_not_matter():
    assert canonical_json({"b": 1, "a": 2}) == canonical_json({"a": 2, "b": 1}) == '{"a":2,"b":1}'


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_what_json_cannot_say_is_refused(bad):
    with pytest.raises(ValueError, match="JSON"):
        canonical_json({"x": bad})


def test_derived_geometry():
    memory = SPEC.geometry.memory
    assert memory is not None
    assert memory.orders == (2, 3)
    assert memory.d_memory == 2 * 4 * 4
    assert memory.table_rows(1) == sum(memory.rows[1][0]) + sum(memory.rows[1][1])
    assert not replace(SPEC.geometry, dense_layers=2).is_moe(1)
    assert replace(SPEC.geometry, dense_layers=2).is_moe(2)
    assert SPEC.training.steps == round(100_000 / 512)
