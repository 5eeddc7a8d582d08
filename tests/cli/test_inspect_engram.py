from __future__ import annotations

from pathlib import Path

import pytest

from engram_sweep.cli.inspect_engram import folder_of
from engram_sweep.cli.main import main
from engram_sweep.errors import UserError
from engram_sweep.runs.records import read_runs, runs_folder


def test_a_text_becomes_one_page(
    smoke_results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = read_runs("smoke", smoke_results)
    run = runs.loc[runs["arm"] == "engram", "run_id"].iloc[0]
    page = tmp_path / "strip.html"
    words = ["--text", "of the people", "--out", str(page), "--results", str(smoke_results)]
    assert main(["inspect", "engram", run[:12], *words]) == 0
    assert capsys.readouterr().out == f"{page}: 13 tokens\n"
    assert page.read_text().count("<tr>") == 1 + 13


def test_a_run_is_named_by_its_folder_or_its_id(smoke_results: Path, tmp_path: Path) -> None:
    folder = sorted(runs_folder(smoke_results, "smoke").iterdir())[0]
    assert folder_of(str(folder), tmp_path) == folder
    assert folder_of(folder.name, smoke_results) == folder
    for name, said in (
        ("nosuch", "expected the id of one run under .*, none begins so"),
        ("../x", "expected a run folder or the id of a run, there is no such folder"),
    ):
        with pytest.raises(UserError, match=said):
            folder_of(name, smoke_results)
