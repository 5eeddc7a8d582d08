"""The twin of the paper's sweep on a cluster of two nodes, killed and requeued in the middle."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from engram_sweep.config.scale import load_scale
from engram_sweep.launch.status import folder_of
from engram_sweep.placement import Placement
from engram_sweep.planning.plan import make_plan
from engram_sweep.rehearsal.practice import practise, slurm_is_here
from engram_sweep.rehearsal.twin import write_twin
from tests.conftest import SWEEPS, call
from tests.slurm.cluster import Cluster, wait_for

pytestmark = pytest.mark.slow

MESH = Placement(4, 8, 15, True, 2048)
"""That of sweeps/10B.yaml."""


def test_the_twin_of_the_paper_s_sweep_trains_on_two_nodes(
    cluster: Cluster, tmp_path: Path
) -> None:
    assert slurm_is_here()
    twin = write_twin(load_scale("10B", SWEEPS), MESH, tmp_path / "sweeps")
    (found,) = practise(twin, tmp_path / "results", "slurm", twin.runs[-1:])
    assert found.holds, found
    assert (found.mesh, found.was_killed, found.attempts) == ("2 x 2", True, 2)
    order = folder_of(found.run, tmp_path / "results").read_work_order()
    assert (order.nodes, order.devices) == (2, 2)


def test_a_dry_run_s_script_starts_the_twin(cluster: Cluster, tmp_path: Path) -> None:
    """Whoever submits it by hand trains what the sweep would have submitted."""
    write_twin(load_scale("10B", SWEEPS), MESH, tmp_path / "sweeps")
    where = ("--sweeps", tmp_path / "sweeps", "--results", tmp_path / "results")
    only_one = ("--set", "sweep.rho=[1.0]", "--set", "training.tokens=512")
    dry = call("sweep", "10B-twin", *where, *only_one, env={"DRY_RUN": "1"})
    assert dry.returncode == 0, dry.stderr
    folder = tmp_path / "results" / "10B-twin" / "dry-run"
    planned = json.loads((folder / "plan.json").read_text())
    assert planned["placement"]["replicas"] == planned["placement"]["shards"] == 2
    script = (folder / "array-0.sh").read_text()
    for wanted in ("--nodes=2", "--ntasks-per-node=2"):
        assert wanted in script
    # The submission writes the same script, and the work orders that its workers read.
    done = call("sweep", "10B-twin", *where, *only_one, "--executor", "slurm")
    assert done.returncode == 0, done.stderr + done.stdout
    asked = subprocess.run(
        ["sbatch", "--test-only", folder / "array-0.sh"], capture_output=True, text=True
    )
    assert asked.returncode == 0, asked.stderr
    wait_for(lambda: not cluster.jobs(), 60)
    plan = make_plan(
        load_scale("10B-twin", tmp_path / "sweeps", ["sweep.rho=[1.0]", "training.tokens=512"])
    )
    assert all(folder_of(run, tmp_path / "results").is_done() for run in plan.runs)
