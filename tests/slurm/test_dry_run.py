"""What a dry run writes, the real sbatch takes."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from tests.conftest import call
from tests.slurm.cluster import MAX_ARRAY_SIZE, Cluster


def test_sbatch_accepts_the_paper_s_sweep(cluster: Cluster, tmp_path: Path) -> None:
    """51 runs of 32 GPUs each: four nodes of eight, in arrays that this cluster's limit cuts."""
    before = cluster.jobs("--states=all")
    done = call("sweep", "10B", "--results", tmp_path, env={"DRY_RUN": "1"})
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "10B" / "dry-run"
    arrays = json.loads((folder / "plan.json").read_text())["arrays"]
    assert sum(len(array["runs"]) for array in arrays) == 51
    assert max(len(array["runs"]) for array in arrays) == MAX_ARRAY_SIZE
    for array in arrays:
        asked = subprocess.run(
            ["sbatch", "--test-only", folder / array["script"]], capture_output=True, text=True
        )
        assert asked.returncode == 0, asked.stderr
        assert "to start at" in asked.stderr
    assert cluster.jobs("--states=all") == before, "nothing was launched"
