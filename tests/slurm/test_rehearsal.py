"""The twin of the paper's sweep on a cluster of two nodes, killed and requeued in the middle."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from engram_sweep.config.scale import load_scale
from engram_sweep.launch.executors.protocol import Refused
from engram_sweep.launch.executors.slurm import SlurmExecutor
from engram_sweep.launch.executors.squeue import digest_of
from engram_sweep.launch.status import folder_of
from engram_sweep.launch.sweep import sweep
from engram_sweep.launch.worker_command import runs_line
from engram_sweep.placement import Placement
from engram_sweep.planning.plan import make_plan
from engram_sweep.rehearsal.practice import practise, slurm_is_here
from engram_sweep.rehearsal.twin import write_twin
from engram_sweep.runs.records import read_runs
from tests.conftest import SWEEPS, call
from tests.slurm.cluster import MAX_ARRAY_SIZE, Cluster
from tests.waiting import wait_for

pytestmark = pytest.mark.slow

TIMEOUT_SECONDS = 900
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


ONE_STEP = ("training.tokens=512",)
"""Changes to the twin: of what its script starts, the start and the end are tested."""


def dry_script(name: str, results: Path, *words: str | Path) -> str:
    """What a dry run writes for the first array of a scale."""
    dry = call("sweep", name, "--results", results, *words, env={"DRY_RUN": "1"})
    assert dry.returncode == 0, dry.stderr
    return (results / name / "dry-run" / "array-0.sh").read_text()


def refuse(*arguments: object) -> None:
    """In place of submitting: all that jobs need is laid out by then."""
    raise Refused("not now")


def with_numbers_of_the_twin(script: str, results: Path, run_ids: list[str]) -> str:
    """The script of the paper's sweep for its twin: another name, other runs, fewer processes."""
    script = re.sub(r"^RUNS=\(.*\)$", runs_line(run_ids), script, flags=re.MULTILINE)
    home = results / "10B"
    for old, new in (
        (f"--array=0-{MAX_ARRAY_SIZE - 1}%{MAX_ARRAY_SIZE}", f"--array=0-{len(run_ids) - 1}%1"),
        (digest_of(home), digest_of(results / "10B-twin")),
        (f"{home}/", f"{home}-twin/"),
        (f" {home} ", f" {home}-twin "),
        ("--job-name=engram-10B", "--job-name=engram-10B-twin"),
        ("#SBATCH --gpus-per-node=8\n", ""),
        ("--nodes=4", "--nodes=2"),
        ("--ntasks-per-node=8", "--ntasks-per-node=2"),
        ("--time=1440", "--time=10"),
    ):
        assert old in script, old
        script = script.replace(old, new)
    return script


def test_the_script_of_the_paper_s_dry_run_starts_its_twin(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The very script that a dry run writes for 10B, with its twin's numbers, trains on two nodes.

    That is also, letter by letter, what a dry run of the twin writes.
    """
    results, sweeps = tmp_path / "results", tmp_path / "sweeps"
    write_twin(load_scale("10B", SWEEPS), MESH, sweeps)
    plan = make_plan(load_scale("10B-twin", sweeps, list(ONE_STEP)))
    monkeypatch.setattr(SlurmExecutor, "submit", refuse)
    with pytest.raises(Refused):
        sweep(plan, results, print, executor="slurm")
    home = results / "10B-twin"

    written = dry_script("10B-twin", results, "--sweeps", sweeps, "--set", *ONE_STEP)
    run_ids = json.loads((home / "dry-run" / "plan.json").read_text())["arrays"][0]["runs"]
    assert sorted(run_ids) == sorted(run.run_id for run in plan.runs)
    assert written == with_numbers_of_the_twin(dry_script("10B", results), results, run_ids)

    # A submission makes the folder of its outputs; SLURM makes none.
    (home / "jobs" / "array-0").mkdir(parents=True)
    started = cluster.ask("sbatch", str(home / "dry-run" / "array-0.sh"))
    assert started.startswith("Submitted batch job"), started
    wait_for(lambda: not cluster.jobs(), TIMEOUT_SECONDS)
    for run in plan.runs:
        folder = folder_of(run, results)
        assert folder.is_done(), folder.failure()
        order = folder.read_work_order()
        assert (order.nodes, order.devices) == (2, 2)
        assert (order.placement.replicas, order.placement.shards) == (2, 2)
    assert set(read_runs("10B-twin", results, plan.scale.changes).world_size) == {4}
