from __future__ import annotations

import json
from pathlib import Path

from engram_sweep.launch.status import STATES
from tests.conftest import call


def test_status_json(smoke_results: Path) -> None:
    status = json.loads(call("status", "smoke", "--results", smoke_results, "--json").stdout)
    assert status["counts"] == {state: 6 * (state == "done") for state in STATES}
    assert all(run["validation_loss"] > 0 for run in status["runs"])


def test_watching_a_finished_sweep_prints_a_line_per_run_and_ends(smoke_results: Path) -> None:
    watched = call("status", "smoke", "--results", smoke_results, "--watch")
    assert watched.returncode == 0, watched.stderr
    assert watched.stdout.count(" done validation loss ") == 6
