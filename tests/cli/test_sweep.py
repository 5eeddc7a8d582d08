from __future__ import annotations

from pathlib import Path

import pytest

from engram_sweep.cli.main import main
from engram_sweep.search import adaptive
from tests.examples import SWEEPS
from tests.search.test_adaptive import Trainings, propose

pytestmark = pytest.mark.usefixtures("without_slurm")


def test_zero_is_no_dry_run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DRY_RUN", "0")
    assert (
        main(["sweep", "10B", "--sweeps", str(SWEEPS), "--results", str(tmp_path / "results")]) == 2
    )
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--dry-run", "--executor", "local"], "--dry-run: expected the executor slurm"),
        (
            ["--corpus", "mine"],
            "--corpus mine: expected a scale whose corpus.source is shards, smoke trains on sotu",
        ),
        (
            ["--corpus", "mine", "--dry-run"],
            "--corpus mine: expected a scale whose corpus.source is shards, smoke trains on sotu",
        ),
        (["--executor", "k8s"], "executor: expected one of local, slurm, inline, got 'k8s'"),
        (
            ["--executor", "slurm"],
            "smoke: no SLURM (sbatch) here, nothing was launched; DRY_RUN=1 make sweep SCALE=smoke",
        ),
    ],
)
def test_what_cannot_be_is_one_line(
    words: list[str], says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    results = tmp_path / "results"
    assert main(["sweep", "smoke", "--sweeps", str(SWEEPS), "--results", str(results), *words]) == 2
    assert says in capsys.readouterr().err
    assert not results.exists()


def test_rerun_failed_without_failures_trains_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    results = tmp_path / "results"
    words = ["rerun-failed", "smoke", "--sweeps", str(SWEEPS), "--results", str(results)]
    assert main(words) == 0
    assert capsys.readouterr().out == "smoke: no failed runs\n"
    assert not results.exists()


def test_an_adaptive_sweep_says_every_look_and_why_each_run_was_chosen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    trainings = Trainings()
    monkeypatch.setattr(adaptive, "sweep", trainings)
    monkeypatch.setattr(adaptive, "proposer", lambda: propose)
    words = ["sweep", "tiny-axes", "--sweeps", str(SWEEPS), "--results", str(tmp_path)]
    rules = {"design": "adaptive", "seeds": "[0,1,2]", "adaptive.batch": "2", "adaptive.looks": "2"}
    for key, value in rules.items():
        words += ["--set", f"sweep.{key}={value}"]
    assert main(words) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "look 1 of at most 2: saw 19 runs"
    assert [line.partition(": ")[2] for line in said[1:3]] == ["reason 0", "reason 1"]
    assert said[3] == "look 2 of at most 2: saw 21 runs"
    assert said[-1].startswith("tiny-axes: ")
    assert len(trainings.trained) == 21
    # A dry run writes the pilot's scripts and trains nothing.
    assert main([*words, "--dry-run", "--executor", "slurm"]) == 0
    assert "nothing was launched" in capsys.readouterr().out
    assert len(trainings.trained) == 21
