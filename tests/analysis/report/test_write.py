import re
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest

from analysis.figures.literature import gains_over_rho
from analysis.figures.loss_vs_rho import loss_vs_rho
from analysis.figures.style import FORMATS, render
from analysis.report.write import write_report
from analysis.simulation.sweeps import Noise
from analysis.sweep.sweep_analysis import analyse_sweep
from engram_sweep.errors import UserError
from tests.analysis.tables import sweep, with_arms


def full_table() -> pd.DataFrame:
    table = with_arms(sweep(noise=Noise(windows=8)))
    table.loc[4, "validation_loss"] = float("nan")
    return table.assign(
        git_commit="abc <dirty>",
        host="node",
        versions=[[("torch", "2.15")]] * len(table),
        wall_seconds=60.0,
    )


def test_a_report_holds_everything(tmp_path):
    result, verdict = write_report(full_table(), tmp_path, "tiny")
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {f"loss_vs_rho.{kind}" for kind in FORMATS} | {"summary.parquet", "report.html"}
    assert len(pd.read_parquet(tmp_path / "summary.parquet")) == len(result.means.rho)
    page = (tmp_path / "report.html").read_text()
    assert verdict.sentence.replace("'", "&#x27;") in page
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


@pytest.mark.parametrize("kind", FORMATS)
def test_figures_are_the_same_bytes_each_time(kind):
    table = full_table()
    assert render(loss_vs_rho(analyse_sweep(table), "x"), kind) == render(
        loss_vs_rho(analyse_sweep(table), "x"), kind
    )


@pytest.mark.parametrize("truth", ["flat", "edge_memory", "edge_experts"])
def test_every_shape_and_one_seed_can_be_drawn(truth):
    for seeds in (1, 2):
        result = analyse_sweep(sweep(truth, seeds=seeds))
        assert render(loss_vs_rho(result, truth), "png").startswith(b"\x89PNG")
    assert render(gains_over_rho(result, truth), "svg").startswith(b"<?xml")


def test_what_is_marked_can_be_seen():
    axes = loss_vs_rho(analyse_sweep(full_table()), "title").axes
    words = [text.get_text() for text in axes[0].texts]
    assert any(word.startswith("gain") for word in words)
    assert [tick.get_text() for tick in axes[1].get_xticklabels()] == [
        "dense",
        "one row",
        "over-encoding",
    ]
    labels = axes[0].get_legend_handles_labels()[1]
    assert {"fit", "90% band", "no loss (failed or diverged)"} <= set(labels)
    drawn = np.isnan(np.asarray(axes[0].lines[0].get_xdata(), float))
    assert drawn.sum() == full_table()["seed"].nunique(), (
        "a seed's runs are joined, and with no other's"
    )


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path):
    with pytest.raises(UserError, match="the report cannot be written"):
        write_report(sweep(), tmp_path / "nowhere", "tiny")
