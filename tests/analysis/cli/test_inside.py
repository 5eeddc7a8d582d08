import argparse
from pathlib import Path

import pytest

from analysis.cli.inside import register_inside
from engram_sweep.cli.parser import Parser
from engram_sweep.errors import UserError
from tests.analysis.report.test_write_inside import write_measured_sweep


def options(*words: str) -> argparse.Namespace:
    parser = Parser()
    register_inside(parser.add_subparsers())
    return parser.parse_args(["inside", *words])


def test_it_prints_the_sentences_and_where_the_files_are(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_measured_sweep(tmp_path)
    chosen = options("demo", "--results", str(tmp_path))
    assert chosen.func(chosen) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("Strata of 8 held-out documents, 4 paired seeds")
    assert lines[-1] == str(tmp_path / "demo" / "inside")


def test_a_level_that_is_none_is_refused(tmp_path: Path) -> None:
    chosen = options("demo", "--results", str(tmp_path), "--level", "1.5")
    with pytest.raises(UserError, match="--level: expected a share"):
        chosen.func(chosen)
