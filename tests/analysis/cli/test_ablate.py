import argparse
from pathlib import Path

import pytest

from analysis.cli.ablate import register_ablate
from engram_sweep.cli.parser import Parser
from engram_sweep.errors import UserError
from tests.analysis.tables import ablation, sweep, write_runs


def options(*words: str) -> argparse.Namespace:
    parser = Parser()
    register_ablate(parser.add_subparsers())
    return parser.parse_args(["ablate", *words])


def test_it_prints_a_sentence_per_variant_and_where_the_files_are(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_runs(tmp_path, "demo", ablation({"no_gate": 0.05}, sweep__variant_rho=[0.6]))
    chosen = options("demo", "--results", str(tmp_path))
    assert chosen.func(chosen) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].startswith("No gate (hash_seed: 1): 0.0")
    assert lines[-1] == str(tmp_path / "demo" / "inside")


def test_a_published_table_is_enough(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = ablation({"no_gate": 0.05}, sweep__variant_rho=[0.6])
    table.to_parquet(tmp_path / "mine.parquet", index=False)
    chosen = options(str(tmp_path / "mine.parquet"))
    assert chosen.func(chosen) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].startswith("No gate (hash_seed: 1): 0.0")
    assert lines[-1] == str(tmp_path / "mine-report" / "inside")
    assert (tmp_path / "mine-report" / "inside" / "ablate.png").exists()


def test_a_table_without_variants_leaves_nothing_written(tmp_path: Path) -> None:
    sweep().to_csv(tmp_path / "mine.csv", index=False)
    chosen = options(str(tmp_path / "mine.csv"))
    with pytest.raises(UserError, match=r"mine.csv: expected finished runs of variants"):
        chosen.func(chosen)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.csv"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("demo", "--level", "1.5"), "--level: expected a share"),
        (("nosuch",), "no sweep named 'nosuch'"),
    ],
)
def test_what_makes_no_sense_is_refused(tmp_path: Path, words: tuple[str, ...], said: str) -> None:
    chosen = options(*words, "--results", str(tmp_path))
    with pytest.raises(UserError, match=said):
        chosen.func(chosen)
