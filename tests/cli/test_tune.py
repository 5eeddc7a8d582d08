"""The command; the search itself is tested in tests/search."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from engram_sweep.cli.main import main
from engram_sweep.cli.tune import print_trials
from engram_sweep.planning.plan import Plan
from engram_sweep.search.learning_rate import Trial
from tests.conftest import SWEEPS


@pytest.mark.parametrize("trials", ["0", "-3"])
def test_no_trials_are_refused_before_anything_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], trials: str
) -> None:
    results = tmp_path / "results"
    words = ["tune", "smoke", "--sweeps", str(SWEEPS), "--results", str(results)]
    assert main([*words, "--trials", trials]) == 2
    assert capsys.readouterr().err == (
        f"engram-sweep: --trials: expected at least 1, got {trials}\n"
    )
    assert not results.exists()


def test_a_rho_that_is_not_of_the_grid_is_refused_before_anything_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    results = tmp_path / "results"
    words = ["tune", "smoke", "--sweeps", str(SWEEPS), "--results", str(results), "--rho", "0.3"]
    assert main(words) == 2
    assert "--rho: expected shares of" in capsys.readouterr().err
    assert not results.exists()


def test_the_table_marks_the_lowest_loss_and_what_was_given_up(
    smoke_plan: Plan, capsys: pytest.CaptureFixture[str]
) -> None:
    scale = smoke_plan.scale
    trials = [
        Trial(1.0, 0.01, {0: 3.0, 1: 2.0}),
        Trial(1.0, 0.02, {0: 2.0, 1: 2.0}),
        Trial(0.5, 0.01, {0: 1.0, 1: 1.25}),
        Trial(0.5, 0.04, {0: math.nan}, given_up=True),
    ]
    print_trials(scale, trials)
    rows = [line.split("│")[1:-1] for line in capsys.readouterr().out.splitlines()]
    cells = {row[0].strip(): [cell.strip() for cell in row[1:]] for row in rows if row}
    assert cells == {
        "0.01": ["2.5000", "1.1250 *"],
        "0.02": ["2.0000 *", ""],
        "0.04": ["", "(diverged)"],
    }


@pytest.mark.parametrize(
    ("seeds", "words"), [((0, 1), "before 4 (least p = 2^-n)"), (range(6), "given up before all")]
)
def test_it_says_when_a_rate_can_be_given_up(
    smoke_plan: Plan, capsys: pytest.CaptureFixture[str], seeds: tuple[int, ...], words: str
) -> None:
    section = smoke_plan.scale.sweep.model_copy(update={"seeds": tuple(seeds)})
    scale = smoke_plan.scale.model_copy(update={"sweep": section})
    print_trials(scale, [Trial(1.0, 0.01, dict.fromkeys(seeds, 2.0))])
    assert words in capsys.readouterr().out
