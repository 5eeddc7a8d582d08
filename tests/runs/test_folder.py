from __future__ import annotations

from pathlib import Path

import pytest

from engram_sweep import worker
from engram_sweep.launch.status import folder_of, sweep_status
from engram_sweep.planning.plan import Plan
from engram_sweep.runs.folder import Busy, RunFolder


def test_a_held_run_is_left_to_its_holder(one_run: Plan, tmp_path: Path) -> None:
    folder = folder_of(one_run.runs[0], tmp_path)
    folder.path.mkdir(parents=True)
    with folder.held():
        assert sweep_status(one_run, tmp_path)[0].state == "running"
        with pytest.raises(Busy), RunFolder(folder.path).held(patience=0.1):
            pass
        worker.run(str(folder.path))
        assert folder.failure() is None
    assert sweep_status(one_run, tmp_path)[0].state == "planned"
