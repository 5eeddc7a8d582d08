from __future__ import annotations

from pathlib import Path

import pytest

from engram_sweep.launch.cancel import cancel
from engram_sweep.launch.driver import Driver
from engram_sweep.launch.status import RunStatus, Survey
from engram_sweep.planning.plan import Plan
from tests.launch.conftest import RETRIES, Pretended, folder_for


def test_a_cancelled_sweep_is_not_submitted_again_by_a_living_driver(
    one_run: Plan, tmp_path: Path, pretended: Pretended
) -> None:
    folder = folder_for(one_run, tmp_path)
    pretended.state, counted = "running", []

    def watch(statuses: list[RunStatus]) -> None:
        if statuses[0].live:
            counted.append(cancel("smoke", tmp_path))

    with pytest.raises(KeyboardInterrupt):
        Driver(
            Survey(one_run, tmp_path), pretended, 1, RETRIES, timeout_minutes=60, watch=watch
        ).run()
    assert counted == [1]
    assert pretended.folders == [folder.path]
    assert cancel("smoke", tmp_path) == 0
