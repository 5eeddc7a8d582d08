import argparse
import json

import pytest

from analysis.cli import register_fit, register_report
from analysis.study import study
from analysis.verdict import judge
from engram_sweep.errors import UserError
from tests.analysis.tables import sweep


def call(*words: str) -> int:
    parser = argparse.ArgumentParser()
    commands = parser.add_subparsers()
    register_fit(commands)
    register_report(commands)
    options = parser.parse_args(list(map(str, words)))
    return options.func(options)


@pytest.fixture
def records(tmp_path):
    """A parquet table, which also stands as the one record of a sweep called tiny."""
    folder = tmp_path / "tiny" / "runs" / "all"
    folder.mkdir(parents=True)
    sweep().to_parquet(folder / "record.parquet")
    return folder / "record.parquet"


def test_fit_prints_one_json_object(records, tmp_path, capsys):
    assert call("fit", "--records", records, "--json") == 0
    from_file = json.loads(capsys.readouterr().out)
    assert call("fit", "tiny", "--results", tmp_path, "--json") == 0
    assert json.loads(capsys.readouterr().out) == from_file
    assert from_file["gain_over_moe"]["value"] == study(sweep()).gain_over_moe.value


def test_the_level_widens_the_interval(records, capsys):
    widths = []
    for level in ("0.5", "0.99"):
        call("fit", "--records", records, "--json", "--level", level)
        gain = json.loads(capsys.readouterr().out)["gain_over_moe"]
        widths.append(gain["high"] - gain["low"])
    assert widths[1] > 2 * widths[0]


def test_fit_without_json_prints_the_sentence(records, capsys):
    call("fit", "--records", records)
    assert capsys.readouterr().out.strip() == judge(study(sweep())).sentence


def test_report_prints_the_sentence_and_the_page(records, tmp_path, capsys):
    assert call("report", "tiny", "--results", tmp_path) == 0
    sentence, page = capsys.readouterr().out.splitlines()
    assert sentence == judge(study(sweep())).sentence
    assert page == str(tmp_path / "tiny" / "report.html")
    assert (tmp_path / "tiny" / "report.html").is_file()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["fit"], "either a scale or --records"),
        (["fit", "tiny", "--records", "x.parquet"], "not both"),
        (["fit", "--records", "nowhere.parquet"], "nowhere.parquet: expected a parquet file"),
        (["fit", "nothing", "--results", "."], "no finished runs"),
        (["fit", "tiny", "--level", "90"], "--level: expected a share"),
        (["report", "tiny", "--delta", "-1"], "--delta: expected a positive number"),
    ],
)
def test_bad_calls_are_refused(words, message):
    with pytest.raises(UserError, match=message):
        call(*words)


def test_a_foreign_parquet_is_refused(tmp_path):
    path = tmp_path / "foreign.parquet"
    sweep().rename(columns={"rho": "lr"}).to_parquet(path)
    with pytest.raises(UserError, match=r"foreign\.parquet: .*rho"):
        call("fit", "--records", path)
    path.write_text("no parquet")
    with pytest.raises(UserError, match=r"foreign\.parquet: expected a readable parquet file"):
        call("fit", "--records", path)
