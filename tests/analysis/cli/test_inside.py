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


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--level", "1.5"), "--level: expected a share"),
        (("--only", "nosuch"), "--only: expected one of strata, suppress, .*, got 'nosuch'"),
        (("--only", "gates"), "expected runs that were measured, found none; .* one of gates$"),
    ],
)
def test_what_makes_no_sense_is_refused(tmp_path: Path, words: tuple[str, ...], said: str) -> None:
    write_measured_sweep(tmp_path)
    chosen = options("demo", "--results", str(tmp_path), *words)
    with pytest.raises(UserError, match=said):
        chosen.func(chosen)
