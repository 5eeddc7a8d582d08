from __future__ import annotations

from typing import Any

import pytest

from engram_sweep.config.scale import load_scale
from engram_sweep.config.sections import Memory
from engram_sweep.config.variants import check_variants, varied
from engram_sweep.errors import UserError
from tests.examples import data, scale, write_scale

BASE = Memory(layers=(1, 2), heads=4, head_dim=4)


def test_a_variant_is_the_memory_with_its_keys_changed() -> None:
    found = varied(BASE, "first", {"memory.layers": [0], "memory.gate": False})
    assert (found.layers, found.gate) == ((0,), False)
    assert found.model_copy(update={"layers": (1, 2), "gate": True}) == BASE


@pytest.mark.parametrize(
    ("name", "changes", "said"),
    [
        ("No gate", {"memory.gate": False}, "names of small letters, digits and _, .* 'No gate'"),
        ("a/b", {"memory.gate": False}, "expected names"),
        ("x", {"memory.gates": False}, r"variants.x.memory.gates: unknown key, did you mean gate"),
        ("x", {"memory.gate": "no"}, r"variants.x.memory.gate: expected true or false, got 'no'"),
        ("x", {"memory.layers": [2, 0]}, r"variants.x.memory.layers: expected ascending"),
        ("x", {"memory.conv_kernel": -1}, r"variants.x.memory.conv_kernel: .* got -1"),
        ("x", {"memory.fusion": "one"}, r"variants.x.memory.fusion: "),
        ("x", {"training.tokens": 5}, "expected keys of memory, .* got 'training.tokens'"),
        ("x", {"memory": {"gate": False}}, "expected keys of memory, .* got 'memory'"),
        ("x", {"memory.gate": True}, "variants.x: expected a change, .*'memory.gate': True"),
        ("x", {}, "variants.x: expected a change"),
    ],
)
def test_what_is_no_variant_is_refused(name: str, changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        varied(BASE, name, changes)


def test_two_names_of_one_variant_are_refused() -> None:
    changes = {"memory.gate": False}
    with pytest.raises(ValueError, match=r"variants.b: expected another change than a has"):
        check_variants(BASE, {"a": changes, "b": changes})


REFUSED = [
    ({"x": {"memory.layers": [9]}}, {}, "sweep.variants.x.memory.layers: expected blocks 0..3"),
    ({"x": {"memory.fusion": "single"}}, {}, "sweep.variants.x.memory.fusion: expected branches"),
    ({"x": {"memory.gates": 1}}, {}, "sweep.variants.x.memory.gates: unknown key"),
    ({"x": 3}, {}, "sweep.variants.x: expected keys with values, got 3"),
    ({"x": {"memory.gate": False}}, {"sweep__rho": [1.0]}, "variants: expected a memory"),
    ({}, {"sweep__variant_rho": [0.4]}, "variant_rho: expected variants beside it"),
    ({"x": {"memory.gate": False}}, {"sweep__variant_rho": [1.0]}, "variant_rho: expected rho of"),
    ({"x": {"memory.gate": False}}, {"sweep__variant_rho": [0.5]}, "got 0.5"),
    ({"x": {"memory.gate": False}}, {"sweep__variant_rho": [0.4, 0.4]}, "distinct values"),
]


@pytest.mark.parametrize(("variants", "changes", "said"), REFUSED)
def test_a_file_with_an_impossible_variant_says_so_in_one_line(
    tmp_path, variants: dict, changes: dict, said: str
) -> None:
    write_scale(tmp_path, sweep__variants=variants, **changes)
    with pytest.raises(UserError) as caught:
        load_scale("example", tmp_path)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_scale_of_one_stream_has_nothing_to_fuse(tmp_path) -> None:
    write_scale(tmp_path, memory__fusion="single")
    with pytest.raises(UserError, match=r"memory.fusion: expected branches where model.streams"):
        load_scale("example", tmp_path)


def test_the_scale_of_a_variant_has_its_memory_and_no_variants() -> None:
    one = scale(sweep__variants={"no_gate": {"memory.gate": False}})
    changed = one.with_variant("no_gate")
    assert changed.sweep.variants == {}
    assert not changed.memory.gate
    assert changed.model_dump(exclude={"memory", "sweep"}) == one.model_dump(
        exclude={"memory", "sweep"}
    )


def test_a_change_on_the_command_line_can_name_variants(tmp_path) -> None:
    write_scale(tmp_path, **{k: v for k, v in data().items() if k == "about"})
    one = load_scale("example", tmp_path, ["sweep.variants={no_gate: {memory.gate: false}}"])
    assert one.sweep.variants == {"no_gate": {"memory.gate": False}}
