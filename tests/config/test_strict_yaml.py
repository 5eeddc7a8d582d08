from __future__ import annotations

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
    ("about: 2020-13-45\n", "not valid YAML"),
    ("about: \x01\n", "not valid YAML"),
    ("about: !!python/object:os.system {}\n", "not valid YAML"),
    ("? [a]\n: b\n", "not valid YAML"),
    ("about: " + "9" * 5000, "not valid YAML"),
    ("[" * 5000, "not valid YAML"),
]


@pytest.mark.parametrize(("text", "says"), UNREADABLE, ids=range(len(UNREADABLE)))
def test_unreadable_yaml_is_one_line_with_the_file(tmp_path, capsys, text, says):
    (tmp_path / "example.yaml").write_text(text)
    said = refusal(tmp_path, capsys)
    assert str(tmp_path / "example.yaml") in said
    assert re.search(says, said), said


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
