from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engram_sweep.config.commented_yaml import as_yaml, commented, plain
from engram_sweep.config.strict_yaml import read_mapping, read_value

VALUES = st.recursive(
    st.integers(-(10**12), 10**12)
    | st.booleans()
    | st.sampled_from(["muon", "yes", "null", "deepseek-v3", "28f80f8b", "1e5", "", "a: b", "# x"])
    | st.floats(1e-6, 1e6).map(lambda value: float(f"{value:.6g}")),
    lambda inner: st.lists(inner, max_size=4),
    max_leaves=6,
)


@given(VALUES)
def test_a_value_is_read_as_it_was_written(value) -> None:
    assert read_value(as_yaml(value)) == value


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (1_200_000, "1_200_000"),
        (48, "48"),
        (2.0, "2.0"),
        ([1.0, 0.5], "[1.0, 0.5]"),
        (True, "true"),
    ],
)
def test_a_value_is_written_as_a_person_would(value, written) -> None:
    assert as_yaml(value) == written


def test_every_line_has_its_reason_beside_it(tmp_path) -> None:
    sections = {
        "model": {"d_model": (48, "wide"), "n_layers": (2, "")},
        "sweep": {"rho": ([1.0, 0.5], "both")},
    }
    text = commented(["made for a test"], "words: and a colon", sections)
    (tmp_path / "scale.yaml").write_text(text)
    assert read_mapping(tmp_path / "scale.yaml") == {
        "about": "words: and a colon",
        **plain(sections),
    }
    assert text.startswith("# made for a test\n")
    assert re.search(r"^  d_model: 48 +# wide$", text, re.MULTILINE)
    assert re.search(r"^  n_layers: 2$", text, re.MULTILINE)
