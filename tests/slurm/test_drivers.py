"""Drivers come and go; jobs stay what they were, and are asked about in a way that a restart does not deceive."""

from __future__ import annotations

import json
import shutil
import signal
from pathlib import Path

from engram_sweep.launch.executors.squeue import Squeue
from engram_sweep.launch.jobs import Job, now
from engram_sweep.runs.records import read_runs
from tests.conftest import ROOT
from tests.slurm.cluster import Cluster, wait_for
from tests.slurm.sweeps import door, driver, records, run_folders, write_sweep


def test_a_killed_driver_two_new_ones_and_an_edited_source(
    cluster: Cluster, tmp_path: Path, environment: dict[str, str]
) -> None:
    """A driver submits from a checkout and is killed; the checkout is broken; two others wait for the same jobs."""
    checkout = tmp_path / "checkout"
    shutil.copytree(
        ROOT / "engram_sweep",
        checkout / "engram_sweep",
        ignore=shutil.ignore_patterns("__pycache__"),
    )
    results = tmp_path / "results"
    sweeps = write_sweep(tmp_path / "sweeps", slurm={"setup": door(tmp_path / "door")})
    words = ("--sweeps", sweeps, "--results", results)

    first = driver(*words, env={**environment, "PYTHONPATH": str(checkout)})
    wait_for(lambda: len(list(results.rglob("job.json"))) == 2, 60)
    first.send_signal(signal.SIGKILL)
    first.communicate()
    submitted = cluster.jobs()
    assert len(submitted) == 2
    (checkout / "engram_sweep" / "worker.py").write_text(
        "raise RuntimeError('not what was submitted')\n"
    )

    both = [driver(*words, env=environment) for _ in range(2)]
    wait_for(lambda: (results / "smoke" / "driver.lock").exists(), 60)
    # Opened while both look on: a job's first second is when a driver could take it for lost.
    (tmp_path / "door").touch()
    outputs = [process.communicate(timeout=300) for process in both]
    assert [process.returncode for process in both] == [0, 0], outputs
    assert len(records(results)) == 2
    assert sorted(
        json.loads((folder / "job.json").read_text())["id"] for folder in run_folders(results)
    ) == sorted(line.split()[0] for line in submitted), "no run was submitted twice"
    assert read_runs("smoke", results).restarts.tolist() == [0, 0]


def test_a_controller_that_restarts_has_ended_no_job(cluster: Cluster, tmp_path: Path) -> None:
    script = tmp_path / "sleep.sh"
    script.write_text("#!/bin/bash\nsleep 600\n")
    number = cluster.ask("sbatch", "--parsable", f"--output={tmp_path}/out", str(script)).strip()
    job, unknown = Job(tmp_path, "slurm", number, now()), Job(tmp_path, "slurm", "999999", now())
    wait_for(lambda: Squeue().states([job]) == ["running"], 30)
    queue = Squeue()
    assert queue.states([job, unknown]) == ["running", "ended"]
    cluster.stop_controller()
    try:
        assert Squeue().states([job, unknown]) == ["unknown", "unknown"]
    finally:
        cluster.start_controller()
    wait_for(lambda: Squeue().states([job]) == ["running"], 60)
    queue = Squeue()
    queue.cancel([job])
    wait_for(lambda: queue.states([job]) == ["ended"], 30)
    assert queue.failure_of(job) == "cancelled"


def test_an_answer_from_before_a_submission_does_not_speak_of_it(
    cluster: Cluster, tmp_path: Path
) -> None:
    queue = Squeue()
    early = Job(tmp_path, "slurm", "999999", now())
    assert queue.states([early]) == ["ended"]
    late = Job(tmp_path, "slurm", "999998", now())
    assert queue.states([early, late]) == ["ended", "unknown"]
