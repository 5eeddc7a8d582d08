from __future__ import annotations

from pathlib import Path

import pytest

from engram_sweep.launch.jobs import Job, now
from engram_sweep.launch.status import sweep_status
from engram_sweep.planning.plan import Plan
from tests.launch.conftest import Pretended, folder_for, reach_step


@pytest.mark.parametrize("state", ["queued", "unknown"])
def test_a_run_in_a_queue_is_queued_and_preempted_where_it_was_before(
    one_run: Plan, tmp_path: Path, pretended: Pretended, state: str
) -> None:
    folder = folder_for(one_run, tmp_path)
    Job(folder.path, pretended.name, "1", now()).note()
    pretended.state = "queued" if state == "queued" else "unknown"
    assert sweep_status(one_run, tmp_path)[0].state == "queued"
    folder.write_failure("preempted", "for someone else")
    reach_step(folder.path, 7)
    (status,) = sweep_status(one_run, tmp_path)
    assert (status.state, status.step, status.live) == ("preempted", 7, True)
