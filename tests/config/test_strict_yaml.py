from __future__ import annotations

import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engram_sweep.config.scale import load_scale
from engram_sweep.config.strict_yaml import read_value
from tests.config.conftest import refusal
from tests.examples import write_scale

UNREADABLE = [
    ("about: [", r"line \d+: not valid YAML"),
    ("about: a\nabout: b\n", r"line 1: not valid YAML: key 'about' is given twice"),
    (
        "model:\n  d_model: 1\n  d_model: 2\n",
        r"line 2: not valid YAML: key 'd_model' is given twice",
    ),
    ("about: \t@x", "not valid YAML"),
    ("", "expected a mapping of sections"),
    ("- a\n- b\n", "expected a mapping of sections"),
    ("1: a\n", "expected a mapping of sections"),
    ("name: x\n", "name: expected no such key"),
    ("about: \x01\n", "not valid YAML"),
    ("about: !!python/object:os.system {}\n", "not valid YAML"),
    ("? [a]\n: b\n", "not valid YAML"),
    ("about: " + "9" * 5000, "not valid YAML"),
    ("about: 0x" + "f" * 5000, "line 1: not valid YAML: expected numbers of at most 250 digits"),
    ("[" * 5000, "not valid YAML"),
    ("about: &a [*a]", "line 1: not valid YAML: expected no alias inside itself"),
    *[
        (f"model: {{d_model: {written}}}", f"line 1: not valid YAML: {says}")
        for written, says in [
            ("!!bool abc", "'abc' is not how a bool is written"),
            ("!!int abc", "'abc' is not how a int is written"),
            ("!!int 010", "'010' is not how a int is written"),
            ("!!float 4:33.0", "'4:33.0' is not how a float is written"),
            ("!!null abc", "'abc' is not how a null is written"),
            ("!!map [a]", "expected a mapping node"),
            ("!!int [a]", "expected a scalar node"),
            ("!!timestamp abc", "expected no tag !!timestamp"),
            ("!!binary abc", "expected no tag !!binary"),
            ("!!set {a, b}", "expected no tag !!set"),
            ("!!omap [a: 1]", "expected no tag !!omap"),
            ("!!merge abc", "expected no tag !!merge"),
            ("!own abc", "expected no tag !own"),
        ]
    ],
]
BOMB = "[&b0 [x,x,x,x,x,x,x,x,x,x]" + "".join(
    f",&b{at} [{','.join([f'*b{at - 1}'] * 10)}]" for at in range(1, 10)
)
"""A list of ten to the tenth, in half a thousand letters."""


@pytest.mark.parametrize(("text", "says"), UNREADABLE, ids=range(len(UNREADABLE)))
def test_unreadable_yaml_is_one_line_with_the_file(tmp_path, capsys, text, says):
    (tmp_path / "example.yaml").write_text(text)
    said = refusal(tmp_path, capsys)
    assert str(tmp_path / "example.yaml") in said
    assert re.search(says, said), said


@pytest.mark.parametrize(
    "line",
    ["about: {}]", "sweep: {{rho: {}]}}", "sweep: {{variants: {{a: {{memory.gate: {}]}}}}}}"],
)
def test_aliases_that_blow_up_are_refused_at_once(tmp_path, capsys, line):
    (tmp_path / "example.yaml").write_text(line.format(BOMB))
    assert "not valid YAML: expected at most 1,000,000 values and" in refusal(tmp_path, capsys)
    with pytest.raises(ValueError, match="expected at most 1,000,000 values"):
        read_value(f"{BOMB}]")


def test_an_alias_is_what_it_stands_for():
    assert read_value("[&a [1, 2], *a]") == [[1, 2], [1, 2]]


@pytest.mark.parametrize(
    "written", ["4:33:04", "4:33.5", "040000", "-07", "2020-01-01", "2020-13-45", "<<", "=", "no"]
)
def test_what_only_old_yaml_takes_for_something_else_is_text(written):
    assert read_value(written) == written
    assert read_value(f"{{{written}: 1}}") == {written: 1}


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("0", 0),
        ("-1_000", -1000),
        ("0x10", 16),
        ("0b11", 3),
        ("!!int 7", 7),
        ("1.", 1),
        (".5", 0.5),
        ("+1_0.5e1", 105),
        ("5e-1", 0.5),
        ("-.inf", -math.inf),
        ("!!str 1", "1"),
        ("~", None),
        ("Null", None),
    ],
)
def test_numbers_and_tags_are_what_they_say(written, value):
    assert read_value(written) == value


def test_a_file_that_is_no_text(tmp_path, capsys):
    (tmp_path / "example.yaml").write_bytes(b"\xff\xfe\x00a")
    assert "expected a readable UTF-8 file" in refusal(tmp_path, capsys)


@pytest.mark.parametrize("written", ["3e-3", "3.0e-3", "0.003", "3E-3"])
def test_exponents_are_numbers(tmp_path, written):
    path = write_scale(tmp_path)
    path.write_text(path.read_text().replace("learning_rate: 0.001", f"learning_rate: {written}"))
    assert load_scale("example", tmp_path).training.learning_rate == 0.003


@pytest.mark.parametrize("written", ["1e5", "1.0e+5", "100000.0", "100_000", "100000"])
def test_exact_floats_are_integers(tmp_path, written):
    path = write_scale(tmp_path)
    path.write_text(path.read_text().replace("tokens: 100000", f"tokens: {written}"))
    assert load_scale("example", tmp_path).training.tokens == 100_000


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_number_is_read_as_it_was_written(value):
    found = read_value(repr(value))
    assert found == value
    assert isinstance(found, int) == value.is_integer()


@pytest.mark.parametrize(
    ("written", "value"), [("[1, 0.5]", [1, 0.5]), ("muon", "muon"), ("true", True), ("", None)]
)
def test_a_value_is_what_a_file_would_hold(written, value):
    assert read_value(written) == value


@pytest.mark.parametrize("written", ["[1, ", "{a: 1, a: 2}", "[" * 5000])
def test_what_is_no_yaml_is_one_line(written):
    with pytest.raises(ValueError, match=r"\A[^\n]+\Z"):
        read_value(written)
