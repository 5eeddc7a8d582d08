from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import pytest

from analysis.cli.rates import register_rates
from engram_sweep.errors import UserError
from tests.analysis.rates.worlds import OWN, World


def run(*words: str | Path) -> int:
    parser = argparse.ArgumentParser()
    register_rates(parser.add_subparsers())
    options = parser.parse_args(["rates", *map(str, words)])
    return options.func(options)


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "runs.csv"
    World().table(np.random.default_rng(0)).to_csv(path, index=False)
    return path


def test_a_table_is_printed_with_what_it_shows(
    table: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("--records", table) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("|")[1].strip() for line in lines[:5]] == ["rho", "---", "1", "0.5", "0"]
    assert "best rate" in lines[0]
    assert any("rho = 1 being badly tuned" in line for line in lines)


def test_json_holds_everything(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--records", table, "--json", "--rate", str(OWN)) == 0
    assert len(json.loads(capsys.readouterr().out)["each"]) == 3


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ((), "expected the name of a scale or --records FILE, got neither"),
        (("tiny", "--records", "a.csv"), "got both"),
        (("tiny", "--level", "2"), "--level: expected a share"),
        (("tiny", "--rate", "0"), "--rate: expected a learning rate above 0"),
        (("smoke", "--results", "nowhere"), "nowhere/smoke.tune: .* make tune SCALE=smoke trains"),
    ],
)
def test_what_makes_no_sense_is_one_line(words: tuple[str, ...], expected: str) -> None:
    with pytest.raises(UserError, match=expected):
        run(*words)
