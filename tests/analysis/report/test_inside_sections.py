import json

import pytest

from analysis.report.inside_sections import read_inside, runs_digest
from analysis.report.write_inside import write_inside
from engram_sweep.runs.records import read_runs
from tests.analysis.report.test_write_inside import write_measured_sweep


@pytest.fixture
def runs(tmp_path):
    """The runs of a sweep whose section `strata` is written."""
    write_measured_sweep(tmp_path)
    runs = read_runs("demo", tmp_path)
    assert read_inside(tmp_path / "demo", runs).html == []
    write_inside("demo", tmp_path, 0.9)
    return runs


def test_the_page_has_a_section_for_each_measure_that_was_analysed(tmp_path, runs):
    inside = read_inside(tmp_path / "demo", runs)
    [html] = inside.html
    assert html.startswith("<h2>Where the gain lives</h2>")
    assert "<svg" in html
    assert "10-99" in html
    assert inside.left_out == ""


def test_a_figure_that_was_taken_away_takes_its_section_along_not_the_page(tmp_path, runs):
    (tmp_path / "demo" / "inside" / "strata.svg").unlink()
    inside = read_inside(tmp_path / "demo", runs)
    assert "strata (its figure or table is not there)" in inside.left_out
    assert len(inside.html) == 1


def test_sections_of_other_runs_are_left_out_and_named(tmp_path, runs):
    """Those of a sweep with --set, or of the members of another day."""
    for others in (runs.iloc[1:], runs.assign(run_id="x" + runs["run_id"])):
        inside = read_inside(tmp_path / "demo", others)
        assert inside.left_out == (
            "Left out of the page, to be made again: strata (made from other runs)."
        )
        assert inside.html == [f'<p class="note">{inside.left_out}</p>']
    # The order of the runs is none of what they are.
    assert read_inside(tmp_path / "demo", runs.iloc[::-1]).left_out == ""


def test_a_section_that_does_not_say_its_runs_is_left_out(tmp_path, runs):
    path = tmp_path / "demo" / "inside" / "strata.json"
    said = json.loads(path.read_text())
    path.write_text(json.dumps({key: said[key] for key in said if key != "runs"}))
    assert "strata (expected place" in read_inside(tmp_path / "demo", runs).left_out


def test_tables_without_ids_are_told_apart_by_their_losses(runs):
    bare = runs[["rho", "seed", "validation_loss"]]
    assert runs_digest(bare) == runs_digest(bare.iloc[::-1])
    assert runs_digest(bare) != runs_digest(bare.assign(validation_loss=1.5))
    assert runs_digest(bare) != runs_digest(bare.iloc[1:])
