import re
from html.parser import HTMLParser

import pandas as pd
import pytest

from analysis.figures.style import FORMATS
from analysis.report.write import write_report
from analysis.report.write_inside import write_inside
from engram_sweep.errors import UserError
from engram_sweep.runs.records import read_runs
from tests.analysis.report.test_write_inside import write_measured_sweep
from tests.analysis.tables import full_table, sweep


def test_a_report_holds_everything(tmp_path):
    result, verdict = write_report(full_table(), tmp_path, "tiny")
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {f"loss_vs_rho.{kind}" for kind in FORMATS} | {"summary.parquet", "report.html"}
    assert len(pd.read_parquet(tmp_path / "summary.parquet")) == len(result.means.rho)
    page = (tmp_path / "report.html").read_text()
    assert verdict.label in page
    for words in verdict.notes:
        assert words.replace("'", "&#x27;") in page
    for text in (
        "over_encoding",
        "abc &lt;dirty&gt;",
        "torch 2.15",
        "make sweep SCALE=tiny",
        "<svg",
    ):
        assert text in page
    for outside in re.findall(r'(?:src|href)="([^"#]*)"', page):
        assert outside == "data:,"  # self-contained: nothing is fetched


def test_the_page_is_well_formed(tmp_path):
    write_report(full_table(), tmp_path, "tiny")
    open_tags: list[str] = []

    class Balance(HTMLParser):
        def handle_starttag(self, tag, attrs):
            if tag not in ("meta", "link", "br"):
                open_tags.append(tag)

        def handle_startendtag(self, tag, attrs):
            pass

        def handle_endtag(self, tag):
            assert open_tags.pop() == tag

    Balance().feed((tmp_path / "report.html").read_text())
    assert open_tags == []


def test_what_was_measured_inside_the_runs_is_on_the_page(tmp_path):
    write_measured_sweep(tmp_path)
    write_inside("demo", tmp_path, 0.9)
    write_report(read_runs("demo", tmp_path), tmp_path / "demo", "demo")
    page = (tmp_path / "demo" / "report.html").read_text()
    assert page.index(">Where the gain lives</h2>") < page.index(">Every run</h2>")


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path):
    with pytest.raises(UserError, match="the report cannot be written"):
        write_report(sweep(), tmp_path / "nowhere", "tiny")
