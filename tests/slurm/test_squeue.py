from __future__ import annotations

from pathlib import Path

from engram_sweep.launch.executors.squeue import Squeue
from engram_sweep.launch.jobs import Job, now
from tests.slurm.cluster import Cluster
from tests.waiting import wait_for


def test_a_controller_that_restarts_has_ended_no_job(cluster: Cluster, tmp_path: Path) -> None:
    script = tmp_path / "sleep.sh"
    script.write_text("#!/bin/bash\nsleep 600\n")
    number = cluster.ask("sbatch", "--parsable", f"--output={tmp_path}/out", str(script)).strip()
    job, unknown = Job(tmp_path, "slurm", number, now()), Job(tmp_path, "slurm", "999999", now())
    wait_for(lambda: Squeue().states([job]) == ["running"], 120)
    queue = Squeue()
    wait_for(lambda: queue.states([job, unknown]) == ["running", "ended"], 120)
    cluster.stop_controller()
    try:
        assert Squeue().states([job, unknown]) == ["unknown", "unknown"]
    finally:
        cluster.start_controller()
    wait_for(lambda: Squeue().states([job]) == ["running"], 120)
    queue = Squeue()
    queue.cancel([job])
    wait_for(lambda: queue.states([job]) == ["ended"], 120)
    assert queue.failure_of(job) == "cancelled"


def test_an_answer_from_before_a_submission_does_not_speak_of_it(
    cluster: Cluster, tmp_path: Path
) -> None:
    queue = Squeue()
    early = Job(tmp_path, "slurm", "999999", now())
    wait_for(lambda: queue.states([early]) == ["ended"], 120)
    late = Job(tmp_path, "slurm", "999998", now())
    assert queue.states([early, late]) == ["ended", "unknown"]
