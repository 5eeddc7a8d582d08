from __future__ import annotations

from pathlib import Path

import pytest

from engram_sweep.errors import UserError
from engram_sweep.runs.design_note import read_design, write_looks, write_rules
from engram_sweep.runs.records import note_file

RULES = {"width": 0.2, "rho": [0.0, 1.0]}
LOOKS = [{"width": 0.3, "words": "wide", "runs": ["a"], "reasons": ["gap"]}]


@pytest.fixture
def results(tmp_path: Path) -> Path:
    (tmp_path / "s").mkdir()
    return tmp_path


def test_rules_and_looks_come_back(results: Path) -> None:
    assert read_design("s", results) is None
    write_rules("s", RULES, results)
    assert read_design("s", results) == {"rules": RULES, "looks": []}
    write_looks("s", LOOKS, results)
    write_rules("s", RULES, results)
    assert read_design("s", results) == {"rules": RULES, "looks": LOOKS}


def test_rules_do_not_change_after_the_first_run(results: Path) -> None:
    write_rules("s", RULES, results)
    with pytest.raises(UserError, match=r"design\.json: width: expected 0\.2 as noted .* got 0\.3"):
        write_rules("s", {**RULES, "width": 0.3}, results)
    assert read_design("s", results) == {"rules": RULES, "looks": []}


def test_every_set_of_changes_has_rules_of_its_own(results: Path) -> None:
    changes = ("sweep.design=adaptive",)
    write_rules("s", RULES, results, changes)
    assert read_design("s", results) is None
    assert read_design("s", results, changes) == {"rules": RULES, "looks": []}
    assert note_file("design", "s", results, changes).exists()


def test_looks_without_rules_are_not_noted_and_a_damaged_note_is_none(results: Path) -> None:
    write_looks("s", LOOKS, results)
    assert read_design("s", results) is None
    note_file("design", "s", results, ()).write_text('{"rules": 3}')
    assert read_design("s", results) is None
