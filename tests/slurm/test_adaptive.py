"""An adaptive sweep, its own laws choosing, through the real sbatch: killed, and started again."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
import yaml

from engram_sweep.config.strict_yaml import read_mapping
from engram_sweep.runs.design_note import read_design
from engram_sweep.runs.records import noted_members, read_runs
from tests.conftest import SWEEPS
from tests.slurm.cluster import Cluster
from tests.slurm.sweeps import driver, records, run_folders
from tests.waiting import wait_for

PILOT, BATCH, LOOKS = 19, 2, 2


@pytest.mark.slow
def test_a_killed_adaptive_sweep_goes_on(
    cluster: Cluster, tmp_path: Path, environment: dict[str, str]
) -> None:
    """Its driver is killed in the pilot; a second one takes the jobs over, looks and chooses."""
    data = read_mapping(SWEEPS / "smoke.yaml")
    del data["training"]["tokens"]
    data["sweep"] |= {
        "design": "adaptive",
        "rho": [1.0, 0.75, 0.5, 0.25, 0.0],
        "tokens_per_active": [0.5, 1, 2],
        "seeds": [0, 1, 2],
        "adaptive": {"batch": BATCH, "looks": LOOKS, "floor": 1, "width": 0.01},
    }
    data["launch"] |= {"executor": "slurm"}
    sweeps, results = tmp_path / "sweeps", tmp_path / "results"
    sweeps.mkdir()
    (sweeps / "smoke.yaml").write_text(yaml.safe_dump(data))
    words = ("--sweeps", sweeps, "--results", results)

    first = driver(*words, env=environment)
    wait_for(lambda: len(records(results)) >= 3, 120)
    first.send_signal(signal.SIGKILL)
    first.communicate()
    assert len(records(results)) < PILOT

    second = driver(*words, env=environment)
    said, complained = second.communicate(timeout=500)
    assert second.returncode == 0, said + complained
    assert [line for line in said.splitlines() if line.startswith("look ")][1].startswith("look 2")
    members = noted_members("smoke", results) or set()
    assert members == {path.name for path in run_folders(results)}
    assert len(members) == PILOT + BATCH * (LOOKS - 1)
    runs = read_runs("smoke", results)
    assert set(runs.run_id) == members
    assert runs.restarts.tolist() == [0] * len(members)
    design = read_design("smoke", results)
    assert design is not None
    assert len(design["looks"]) == LOOKS
    assert all(design["looks"][0]["reasons"])
