"""`engram-sweep compare`."""

import argparse
import json

import pandas as pd
import pytest

from analysis.cli.compare import register_compare
from engram_sweep.errors import UserError
from tests.analysis.slots.conftest import slots
from tests.analysis.tables import sweep, write_runs


def call(*words: str) -> int:
    parser = argparse.ArgumentParser()
    register_compare(parser.add_subparsers())
    options = parser.parse_args(["compare", *map(str, words)])
    return options.func(options)


@pytest.fixture
def two(tmp_path):
    """A sweep called tiny, and as a CSV table the same with all losses higher by 0.01."""
    write_runs(tmp_path, "tiny", sweep())
    higher = sweep().assign(validation_loss=lambda runs: runs["validation_loss"] + 0.01)
    higher.drop(columns=["window_losses", "window_tokens"], errors="ignore").to_csv(
        tmp_path / "other.csv", index=False
    )
    return tmp_path


def test_a_sweep_and_a_table_become_a_sentence_and_a_page(two, capsys):
    assert call("tiny", two / "other.csv", "--results", two) == 0
    sentence, page = capsys.readouterr().out.splitlines()
    assert sentence.startswith("other against tiny (")
    folder = two / "compare-tiny-other"
    assert page == str(folder / "report.html")
    assert sentence in (folder / "report.html").read_text()
    names = {path.name for path in folder.iterdir()}
    assert names == {
        "comparison.parquet",
        "report.html",
        *(f"two_sweeps.{kind}" for kind in ("png", "pdf", "svg")),
    }
    rows = pd.read_parquet(folder / "comparison.parquet")
    assert rows["difference"].to_numpy() == pytest.approx(0.01)


def test_as_json_nothing_is_written(two, capsys):
    before = set(two.rglob("*"))
    assert call("tiny", two / "other.csv", "--results", two, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["first"], found["second"]) == ("tiny", "other")
    assert [one["difference"]["value"] for one in found["at_rho"]] == pytest.approx([0.01] * 9)
    assert set(two.rglob("*")) == before


def test_what_is_no_single_curve_is_refused(two):
    sizes = {"params_total": 10_000, "params_active": 1_000}
    parts = [sweep().assign(scale="a", tokens=tokens, **sizes) for tokens in (20_000, 40_000)]
    pd.concat(parts).to_parquet(two / "lengths.parquet")
    slots().to_parquet(two / "slots.parquet")
    with pytest.raises(UserError, match="one curve to compare, got 2: tokens_per_active 20"):
        call("tiny", two / "lengths.parquet", "--results", two)
    with pytest.raises(UserError, match="expected a sweep over rho, got one over table sizes"):
        call("tiny", two / "slots.parquet", "--results", two)
    with pytest.raises(UserError, match="no sweep named 'nothing'"):
        call("tiny", "nothing", "--results", two)
