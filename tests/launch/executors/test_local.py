from __future__ import annotations

from pathlib import Path

import pytest
import submitit

from engram_sweep.config.slurm import Shape
from engram_sweep.launch.executors.local import LocalExecutor


@pytest.mark.parametrize("gpus", [0, 2])
def test_a_worker_sees_the_gpus_it_was_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gpus: int
) -> None:
    """Submitit is asked for them.

    Without that it would hide every GPU, and the run would train on the CPU.
    """
    asked = {}

    def submit(self: submitit.LocalExecutor, *job: object) -> submitit.LocalJob:
        asked.update(self.parameters)
        return submitit.LocalJob(tmp_path, "1")

    monkeypatch.setattr(submitit.LocalExecutor, "submit", submit)
    LocalExecutor(5, Shape(gpus_per_node=gpus)).submit([tmp_path])
    assert asked["gpus_per_node"] == gpus
