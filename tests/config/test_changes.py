from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engram_sweep.config.changes import read_changes, with_changes
from engram_sweep.errors import UserError

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**12), 10**12)
    | st.sampled_from(["muon", "cosine"]),
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=5,
)
KEYS = st.from_regex(r"[a-z]{1,5}(\.[a-z]{1,5}){0,2}", fullmatch=True)


@pytest.mark.parametrize("written", ["1e9", "1_000_000_000", "1000000000", "1.0e9"])
def test_one_change_has_one_text(written):
    assert read_changes([f"training.tokens={written}"]) == ("training.tokens=1000000000",)


@given(st.dictionaries(KEYS, VALUES, max_size=4))
def test_changes_are_sorted_and_read_again_as_they_are(values):
    texts = [f"{key}={json.dumps(value)}" for key, value in values.items()]
    found = read_changes(texts)
    assert found == read_changes(list(reversed(texts))) == read_changes(found)
    assert list(found) == sorted(found, key=lambda text: text.partition("=")[0])


@given(KEYS, VALUES)
def test_a_changed_key_holds_the_value_and_all_others_what_they_held(key, value):
    data = {"kept": {"key": [1]}}
    changed = with_changes(data, read_changes([f"other.{key}={json.dumps(value)}"]))
    assert changed.pop("kept") == data["kept"]
    for part in ["other", *key.split(".")]:
        changed = changed[part]
    assert changed == value
    assert data == {"kept": {"key": [1]}}


@pytest.mark.parametrize(
    ("texts", "says"),
    [
        (["training.tokens"], "expected section.key=value, e.g. training.tokens=1e9, got"),
        (["=3"], "expected section.key=value"),
        (["a=1", "a=2"], "--set a=2: expected each key once, a is given twice"),
        (["a=[1,"], "--set a=\\[1,: expected a value in YAML"),
        (["a=!!bool abc"], "--set a=!!bool abc: expected a value in YAML: .abc. is not how a bool"),
        (["a=.nan"], "expected a value in YAML"),
    ],
)
def test_what_is_no_change_is_one_line(texts, says):
    with pytest.raises(UserError, match=says):
        read_changes(texts)
