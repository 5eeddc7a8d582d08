from __future__ import annotations

import json
import math
from dataclasses import dataclass, fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engram_sweep.planning.plan import make_plan
from engram_sweep.spec import (
    RunSpec,
    canonical_json,
    from_json,
    plain_data,
    run_id,
)
from tests.conftest import ROOT
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


PINNED = {
    "smoke": "d6d2a4d16d683c64ed5d8b894c9f6464",
    "tiny": "35d6028fe99b3da5110fff389729c8dc",
    "tiny-infinite": "4d9f547bcb0355d2a7942f35d87cc97c",
    "planted-half": "57a06691e50643e5e6cc9c8419a2acf6",
    "10B": "a5d1442ee739406f5cca605808b1f58c",
    "engram-27B": "d213593bb24fd1b9c56ed3c11e70d89c",
    "engram-40B": "98510e21a42c5c6a1f9ffe9ea3083329",
}
"""The second run (or the only one) of scales that ship; a change here breaks everyone's results."""


@pytest.mark.parametrize("name", PINNED)
def test_identity_is_pinned(name: str) -> None:
    """A stored record must be found again by every later version."""
    runs = make_plan(load(name)).runs
    assert run_id(runs[min(1, len(runs) - 1)].spec) == PINNED[name]


TABLES = [
    path
    for path in sorted((ROOT / "results" / "published").glob("*.parquet"))
    if {"spec", "run_id"} <= set(pq.read_schema(path).names)
]


@pytest.mark.parametrize("path", TABLES, ids=[path.stem for path in TABLES])
def test_published_runs_are_found_under_their_ids(path: Path) -> None:
    """Their text is hashed as it was written, whatever keys came later."""
    runs = pq.read_table(path, columns=["spec", "run_id"]).to_pylist()
    assert runs
    for run in runs:
        assert canonical_json(json.loads(run["spec"])) == run["spec"]
        assert run_id(json.loads(run["spec"])) == run["run_id"]


@dataclass(frozen=True)
class Later:
    """A spec of before (`width`) with two keys that came later."""

    width: int
    gate: bool = True
    kernel: int | None = None


@dataclass(frozen=True)
class Outer:
    inner: tuple[Later, ...]


def test_a_default_is_no_part_of_the_identity() -> None:
    assert canonical_json(Outer((Later(3),))) == '{"inner":[{"width":3}]}'
    assert canonical_json(Outer((Later(3, gate=False),))) == '{"inner":[{"gate":false,"width":3}]}'
    assert plain_data(Later(3, kernel=0)) == {"width": 3, "kernel": 0}


@given(st.integers(), st.booleans(), st.none() | st.integers())
@settings(max_examples=50)
def test_defaults_left_out_are_filled_in(width: int, gate: bool, kernel: int | None) -> None:
    value = Outer((Later(width, gate, kernel),))
    text = canonical_json(value)
    assert from_json(Outer, json.loads(text)) == value
    # A file that says the default says the same.
    said = {"inner": [{"width": width, "gate": gate, "kernel": kernel}]}
    assert canonical_json(from_json(Outer, said)) == text


def test_a_key_without_a_default_is_needed() -> None:
    with pytest.raises(ValueError, match="Later: expected the keys"):
        from_json(Later, {"gate": False})
    with pytest.raises(ValueError, match="Later: expected the keys"):
        from_json(Later, {"width": 1, "gates": False})


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
