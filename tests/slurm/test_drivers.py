"""Drivers come and go.

Jobs stay what they were, and are asked about in a way that a restart does not deceive.
"""

from __future__ import annotations

import json
import shutil
import signal
from pathlib import Path

from engram_sweep.runs.records import read_runs
from tests.conftest import ROOT
from tests.slurm.cluster import Cluster
from tests.slurm.sweeps import door, driver, records, run_folders, write_sweep
from tests.waiting import wait_for


def test_a_killed_driver_two_new_ones_and_an_edited_source(
    cluster: Cluster, tmp_path: Path, environment: dict[str, str]
) -> None:
    """A driver submits from a checkout and is killed; the checkout is broken.

    Two others wait for the same jobs.
    """
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
    wait_for(lambda: len(list(results.rglob("job.json"))) == 2, 120)
    first.send_signal(signal.SIGKILL)
    first.communicate()
    submitted = cluster.jobs()
    assert len(submitted) == 2
    (checkout / "engram_sweep" / "worker.py").write_text(
        "raise RuntimeError('not what was submitted')\n"
    )

    both = [driver(*words, env=environment) for _ in range(2)]
    wait_for(lambda: (results / "smoke" / "driver.lock").exists(), 120)
    # Opened while both look on: a job's first second is when a driver could take it for lost.
    (tmp_path / "door").touch()
    outputs = [process.communicate(timeout=300) for process in both]
    assert [process.returncode for process in both] == [0, 0], outputs
    assert len(records(results)) == 2
    assert sorted(
        json.loads((folder / "job.json").read_text())["id"] for folder in run_folders(results)
    ) == sorted(line.split()[0] for line in submitted), "no run was submitted twice"
    assert read_runs("smoke", results).restarts.tolist() == [0, 0]
