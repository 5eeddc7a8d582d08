from __future__ import annotations

import json
from pathlib import Path

import pytest

from engram_sweep.cli.main import main
from engram_sweep.launch.status import STATES
from tests.conftest import call
from tests.examples import SWEEPS


def test_status_json(smoke_results: Path) -> None:
    status = json.loads(call("status", "smoke", "--results", smoke_results, "--json").stdout)
    assert status["counts"] == {state: 6 * (state == "done") for state in STATES}
    assert all(run["validation_loss"] > 0 for run in status["runs"])


def test_watching_a_finished_sweep_prints_a_line_per_run_and_ends(smoke_results: Path) -> None:
    watched = call("status", "smoke", "--results", smoke_results, "--watch")
    assert watched.returncode == 0, watched.stderr
    assert watched.stdout.count(" done validation loss ") == 6


def test_the_curve_so_far_is_in_the_json(smoke_results: Path) -> None:
    status = json.loads(call("status", "smoke", "--results", smoke_results, "--json").stdout)
    assert [(point["rho"], point["done"], point["runs"]) for point in status["curve"]] == [
        (1.0, 2, 2),
        (0.6, 2, 2),
        (0.0, 2, 2),
    ]
    assert status["seconds_left"] is None


def test_watching_what_nobody_trains_says_so_and_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("engram_sweep.cli.status.WATCH_SECONDS", 0)
    words = ["--results", str(tmp_path), "--sweeps", str(SWEEPS), "--set", "sweep.seeds=[7]"]
    assert main(["status", "smoke", "--watch", *words]) == 0
    assert capsys.readouterr().out == (
        "smoke: 3 planned of 3 runs\nnothing runs or waits in a queue; engram-sweep sweep smoke "
        "--set sweep.seeds=[7] trains the 3 runs that are left\n"
    )


def test_an_adaptive_sweep_shows_the_runs_chosen_so_far(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    adaptive = ["--set", "sweep.design=adaptive", "--set", "sweep.seeds=[0,1,2]"]
    words = ["--sweeps", str(SWEEPS), "--results", str(tmp_path), "--json", *adaptive]
    assert main(["status", "tiny-axes", *words]) == 0
    status = json.loads(capsys.readouterr().out)
    assert status["counts"]["planned"] == len(status["runs"]) == 19, "the pilot"
