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
    assert '<img alt="Strata of 8' in html
    assert "10-99" in html
    assert inside.left_out == ""


@pytest.mark.parametrize(
    ("file", "data", "said"),
    [
        ("strata.svg", None, "No such file or directory"),
        ("strata.svg", b"", "expected an SVG, got none"),
        ("strata.svg", b"\xff<svg>", "'utf-8' codec can't decode"),
        ("strata.svg", b"<svg><g></svg>", "expected an SVG: mismatched tag"),
        ("strata.svg", b"<svg></svg>", "expected an SVG, got <svg>"),
        ("strata_table.parquet", None, "No such file or directory"),
        ("strata_table.parquet", b"no parquet", "Could not open Parquet"),
        ("strata.json", b"[]", "expected place, title, sentences and runs"),
    ],
)
def test_a_section_that_cannot_be_read_is_left_out_and_named(tmp_path, runs, file, data, said):
    path = tmp_path / "demo" / "inside" / file
    path.unlink() if data is None else path.write_bytes(data)
    inside = read_inside(tmp_path / "demo", runs)
    assert f"strata ({said}" in inside.left_out
    assert len(inside.left_out.splitlines()) == len(inside.html) == 1


@pytest.mark.parametrize("key", ["title", "sentences"])
def test_text_that_no_file_can_hold_leaves_its_section_out(tmp_path, runs, key):
    path = tmp_path / "demo" / "inside" / "strata.json"
    bad = {"title": "\ud800", "sentences": ["\ud800"]}[key]
    path.write_text(json.dumps({**json.loads(path.read_text()), key: bad}))
    inside = read_inside(tmp_path / "demo", runs)
    assert "strata ('utf-8' codec can't encode" in inside.left_out
    "".join(inside.html).encode()


def test_nothing_of_a_figure_is_an_element_of_the_page(tmp_path, runs):
    path = tmp_path / "demo" / "inside" / "strata.svg"
    path.write_text(path.read_text().replace("</svg>", "<script>alert(1)</script></svg>"))
    [html] = read_inside(tmp_path / "demo", runs).html
    assert "<script" not in html
    assert "<svg" not in html


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
