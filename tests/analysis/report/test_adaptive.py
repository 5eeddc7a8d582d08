from __future__ import annotations

from typing import Any

import pytest

from analysis.report import adaptive
from analysis.report.adaptive import looks_section, state_adaptive

RULES: dict[str, Any] = {"width": 0.2, "looks": 4, "batch": 6, "floor": 3}
FIRST = {"width": 0.5, "words": "0.50 wide <", "runs": ["ab" * 16], "reasons": ["gap & floor"]}
LAST = {"width": 0.19, "words": "0.19 wide", "runs": [], "reasons": []}
MEASURED = {
    "one": {"level": 0.9, "sweeps": 30, "rho_star": 0.9, "gain": 0.83},
    "other": {"level": 0.9, "sweeps": 40, "rho_star": 0.86, "gain": 1.0},
}


def test_it_says_how_it_ended_and_that_the_look_is_no_result(monkeypatch) -> None:
    monkeypatch.setattr(adaptive, "measured", lambda: MEASURED)
    (said,) = state_adaptive({"rules": RULES, "looks": [FIRST, LAST]})
    assert "ended after look 2 of at most 4, by a width of 0.2 noted before the first run" in said
    assert "That look is no result" in said
    assert "(2 worlds, 30 or more each) 90% intervals held rho* in 86 to 90 %" in said
    (going,) = state_adaptive({"rules": RULES, "looks": [FIRST]})
    assert "stands after look 1" in going
    (none,) = state_adaptive({"rules": RULES, "looks": []})
    assert "not looked at yet" in none


def test_what_was_not_measured_is_said(monkeypatch) -> None:
    monkeypatch.setattr(adaptive, "measured", lambda: None)
    (said,) = state_adaptive({"rules": RULES, "looks": [LAST]})
    assert said.endswith("was not measured.")


def test_what_this_project_measured_is_a_share_for_every_world() -> None:
    found = adaptive.measured()
    assert found
    for one in found.values():
        assert one["sweeps"] > 0
        assert 0 <= one["rho_star"] <= 1
        assert 0 <= one["gain"] <= 1


def test_the_section_lists_looks_and_reasons() -> None:
    html = looks_section({"rules": RULES, "looks": [FIRST, LAST]})
    assert "0.50 wide &lt;" in html
    assert "<li>look 1, abababab: gap &amp; floor</li>" in html
    assert html.count("<tr>") == 3


@pytest.mark.parametrize("looks", [[], [LAST]])
def test_without_chosen_runs_there_is_no_list(looks: list[dict[str, Any]]) -> None:
    assert "<ul>" not in looks_section({"rules": RULES, "looks": looks})
