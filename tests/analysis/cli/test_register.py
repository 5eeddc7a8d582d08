from __future__ import annotations

import json
from pathlib import Path

import pytest

from engram_sweep.cli.main import main
from tests.conftest import SWEEPS, call


def test_a_plan_is_registered_and_the_report_says_so(smoke_results: Path, tmp_path: Path) -> None:
    done = call("register", "smoke", "--results", tmp_path)
    assert done.returncode == 0, done.stderr
    file = json.loads((tmp_path / "smoke" / "registered.json").read_text())
    assert len(file["content"]["runs"]) == 6
    assert f"digest {file['digest']}" in done.stdout


def test_a_finished_sweep_is_registered_late_only(smoke_results: Path) -> None:
    late = call("register", "smoke", "--results", smoke_results)
    assert late.returncode == 2
    assert "6 of 6 runs are finished" in late.stderr
    note = smoke_results / "smoke" / "registered.json"
    assert not note.exists()
    try:
        assert call("register", "smoke", "--results", smoke_results, "--late").returncode == 0
        report = call("report", "smoke", "--results", smoke_results)
        said = "after 6 runs had a result was kept: all 6 runs and no other"
        assert said in report.stdout
        assert said in (smoke_results / "smoke" / "report.html").read_text()
    finally:
        note.unlink()


@pytest.mark.parametrize("words", [["--level", "5"], ["--delta", "0"], ["--stopping-rule", " "]])
def test_levels_that_make_no_sense_register_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    where = ["--results", str(tmp_path), "--sweeps", str(SWEEPS)]
    assert main(["register", "tiny", *where, *words]) == 2
    assert f"{words[0]}: expected" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
