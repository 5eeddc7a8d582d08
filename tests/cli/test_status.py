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


def test_an_adaptive_sweep_shows_the_runs_chosen_so_far(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    adaptive = ["--set", "sweep.design=adaptive", "--set", "sweep.seeds=[0,1,2]"]
    words = ["--sweeps", str(SWEEPS), "--results", str(tmp_path), "--json", *adaptive]
    assert main(["status", "tiny-axes", *words]) == 0
    status = json.loads(capsys.readouterr().out)
    assert status["counts"]["planned"] == len(status["runs"]) == 19, "the pilot"
