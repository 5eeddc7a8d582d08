"""The sections of report.html, and the recipe that adds one with a figure."""

import pytest
from matplotlib.figure import Figure

from analysis.report import sections
from analysis.report.page_figure import figure
from analysis.report.sections import Section
from analysis.report.write import write_report
from tests.analysis.tables import sweep


def seeds_against_loss(result, name: str) -> str:
    """Draw a toy figure, as a module of `analysis.figures` would."""
    picture = Figure()
    axes = picture.subplots()
    axes.plot(result.sweep.curve["seed"], result.sweep.curve["validation_loss"], "o")
    axes.set_title(f"Toy of {name}")
    return figure(picture, "losses by seed")


def test_a_figure_is_added_by_one_entry_in_a_list(tmp_path, monkeypatch):
    table = sweep()
    (tmp_path / "before").mkdir()
    (tmp_path / "after").mkdir()
    write_report(table, tmp_path / "before", "tiny")
    toy = Section("Losses by seed", seeds_against_loss, "A note under the title.")
    monkeypatch.setattr(sections, "CURVE_SECTIONS", [*sections.CURVE_SECTIONS, toy])
    write_report(table, tmp_path / "after", "tiny")
    before, after = (
        (tmp_path / moment / "report.html").read_text() for moment in ("before", "after")
    )
    assert "Losses by seed" not in before
    assert after.count("Losses by seed</h2>") == 1
    assert "A note under the title." in after
    assert after.count("<figure") == before.count("<figure") + 1
    # Last of its list, so after the other sections of a curve and before those of the runs.
    places = [after.index(f"{title}</h2>") for title in ("Control arms", toy.title, "Every run")]
    assert places == sorted(places)


@pytest.mark.parametrize(("body", "parts"), [(lambda shown, name: None, 0), (str.format, 1)])
def test_a_section_without_a_body_is_left_out(body, parts):
    assert len(Section("A title", body).html("{}", "tiny")) == parts


def test_a_note_may_be_written_from_what_is_shown():
    section = Section("A title", str.format, lambda shown, name: f"{shown} in {name}")
    assert "3 runs in tiny" in section.html("3 runs", "tiny")[0]
