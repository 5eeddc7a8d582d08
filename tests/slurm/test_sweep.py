"""Sweeps through the real sbatch.

To the plot, with failures, with cancellation, and on two nodes.
"""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from engram_sweep.runs.records import read_runs
from tests.conftest import call
from tests.slurm.cluster import MAX_ARRAY_SIZE, Cluster
from tests.slurm.sweeps import door, driver, records, run_folders, status, write_sweep
from tests.waiting import wait_for


def test_a_sweep_through_sbatch_to_the_plot(cluster: Cluster, tmp_path: Path) -> None:
    """Six runs, more than one array may have.

    Two arrays, one after the other, one record each, and the report.
    """
    results = tmp_path / "results"
    done = call("sweep", "smoke", "--results", results, env={"EXECUTOR": "slurm"})
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(records(results)) == 6 > MAX_ARRAY_SIZE
    arrays = sorted((results / "smoke" / "jobs").iterdir())
    scripts = [next(folder.glob("*_submission.sh")).read_text() for folder in arrays]
    assert sorted(line for text in scripts for line in text.splitlines() if "--array" in line) == [
        "#SBATCH --array=0-1%2",
        "#SBATCH --array=0-3%4",
    ]
    assert sum("--dependency=afterany:" in text for text in scripts) == 1
    notes = [json.loads((folder / "job.json").read_text()) for folder in run_folders(results)]
    assert {note["executor"] for note in notes} == {"slurm"}
    assert len({note["id"] for note in notes}) == 6
    for folder in [*arrays, *run_folders(results), *(results / "smoke" / "code").iterdir()]:
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700, folder
    report = call("report", "smoke", "--results", results)
    assert report.returncode == 0, report.stderr
    assert (results / "smoke" / "loss_vs_rho.png").stat().st_size > 0


def test_a_failing_run_has_its_class_and_last_lines(cluster: Cluster, tmp_path: Path) -> None:
    """Every worker fails at its first import of torch, which the job's set-up puts in the way."""
    poison = tmp_path / "poison" / "torch"
    poison.mkdir(parents=True)
    (poison / "__init__.py").write_text("raise RuntimeError('last words')\n")
    setup = [f"export PYTHONPATH={poison.parent}"]
    words = (
        "--sweeps",
        write_sweep(tmp_path / "sweeps", slurm={"setup": setup}),
        "--results",
        tmp_path / "results",
    )
    done = call("sweep", "smoke", *words)
    assert done.returncode == 1, done.stdout + done.stderr
    found = status(*words)
    assert found["counts"]["failed"] == 2
    for run in found["runs"]:
        assert run["failure"]["kind"] == "bug"
        assert run["failure"]["message"] == "RuntimeError: last words"
        assert "RuntimeError: last words" in run["failure"]["log"]


def test_a_job_that_dies_before_python_is_told_with_what_it_said(
    cluster: Cluster, tmp_path: Path
) -> None:
    setup = ["echo no such module >&2", "exit 3"]
    sweeps = write_sweep(
        tmp_path / "sweeps", rho=(1.0,), slurm={"setup": setup}, retries={"node": 1}
    )
    words = ("--sweeps", sweeps, "--results", tmp_path / "results")
    before = len(cluster.jobs("--states=all"))
    assert call("sweep", "smoke", *words).returncode == 1
    (run,) = status(*words)["runs"]
    assert run["failure"]["kind"] == "node"
    assert "no such module" in run["failure"]["log"]
    assert len(cluster.jobs("--states=all")) == before + 2, "once more, as retries.node says"


def test_what_sbatch_refuses_is_one_line_and_leaves_nothing_queued(
    cluster: Cluster, tmp_path: Path
) -> None:
    words = ("--results", tmp_path / "results")
    sweeps = write_sweep(tmp_path / "sweeps", slurm={"partition": "nosuch"})
    done = call("sweep", "smoke", "--sweeps", sweeps, *words)
    assert done.returncode == 2
    assert done.stderr.startswith(
        "engram-sweep: SLURM refused the jobs: invalid partition specified: nosuch; "
    )
    assert len(done.stderr.splitlines()) == 1
    assert not cluster.jobs()


def test_scancel_ends_a_run_and_it_is_not_started_again(
    cluster: Cluster, tmp_path: Path, environment: dict[str, str]
) -> None:
    sweeps = write_sweep(tmp_path / "sweeps", slurm={"setup": door(tmp_path / "door")})
    words = ("--sweeps", sweeps, "--results", tmp_path / "results")
    process = driver(*words, env=environment)
    wait_for(lambda: len([line for line in cluster.jobs() if "RUNNING" in line]) == 2, 120)
    before = len(cluster.jobs("--states=all"))
    cluster.ask("scancel", "--name=engram-smoke")
    out, err = process.communicate(timeout=120)
    assert process.returncode == 1, out + err
    assert {run["failure"]["kind"] for run in status(*words)["runs"]} == {"cancelled"}
    assert len(cluster.jobs("--states=all")) == before


def test_a_run_on_two_nodes(cluster: Cluster, tmp_path: Path) -> None:
    """Two ranks on two nodes, with gloo, give one record and the loss of one process."""
    results = {}
    for nodes in (1, 2):
        sweeps = write_sweep(tmp_path / f"sweeps{nodes}", rho=(0.0,), slurm={"nodes": nodes})
        results[nodes] = tmp_path / f"results{nodes}"
        done = call("sweep", "smoke", "--sweeps", sweeps, "--results", results[nodes])
        assert done.returncode == 0, done.stdout + done.stderr
    one, two = (read_runs("smoke", results[nodes]).iloc[0] for nodes in (1, 2))
    assert (one.world_size, two.world_size) == (1, 2)
    assert two.validation_loss == pytest.approx(one.validation_loss, rel=1e-3)
    (folder,) = run_folders(results[2])
    assert len(list((folder / "job").glob("*_log.err"))) == 2, "the output of every rank"
