"""Jobs that SLURM interrupts in mid-training come back by themselves and lose nothing; minutes each."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from engram_sweep.records import read_runs
from engram_sweep.runfolder import RunFolder
from tests.conftest import call
from tests.slurm.cluster import NODES, Cluster, wait_for
from tests.slurm.sweeps import driver, run_folders, write_sweep

pytestmark = pytest.mark.slow

TOKENS = 2_000_000
"""Enough that training is still at it when it is interrupted."""


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory):
    """The run that nobody interrupts, trained here without SLURM."""
    folder = tmp_path_factory.mktemp("undisturbed")
    sweeps = write_sweep(folder / "sweeps", TOKENS, rho=(0.0,), executor="local")
    done = call("sweep", "smoke", "--sweeps", sweeps, "--results", folder / "results")
    assert done.returncode == 0, done.stderr
    return read_runs("smoke", folder / "results").iloc[0]


def training_for(results: Path, steps: int) -> bool:
    """Whether the one run has come so far."""
    return any(RunFolder(folder).progress().get("step", 0) >= steps for folder in run_folders(results))


def check(results: Path, undisturbed, restarts: int) -> None:
    """The run's one record is the undisturbed run's, and says how often it was interrupted."""
    frame = read_runs("smoke", results)
    assert len(frame) == 1
    run = frame.iloc[0]
    for column in ("validation_loss", "tokens", "outcome"):
        assert run[column] == undisturbed[column], column
    assert list(run.window_losses) == list(undisturbed.window_losses)
    assert run.restarts >= restarts


def test_preemption(cluster: Cluster, tmp_path: Path, environment: dict[str, str], undisturbed) -> None:
    """Another user's job of higher priority takes all nodes: a checkpoint, the queue, and on from there."""
    sweeps = write_sweep(tmp_path / "sweeps", TOKENS, rho=(0.0,), slurm={"partition": "low"}, timeout_minutes=30)
    results = tmp_path / "results"
    process = driver("--sweeps", sweeps, "--results", results, env=environment)
    wait_for(lambda: training_for(results, 50), 120)
    high = ["--parsable", "--partition=high", f"--nodes={NODES}", "--exclusive", f"--output={tmp_path}/high"]
    cluster.ask("sbatch", *high, "--wrap=sleep 5")
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, out + err
    check(results, undisturbed, restarts=1)
    (folder,) = run_folders(results)
    assert [attempt["ended"] for attempt in RunFolder(folder).attempts()] == ["preempted", "done"]


def test_time_limit(cluster: Cluster, tmp_path: Path, environment: dict[str, str], undisturbed) -> None:
    """SLURM's shortest limit is a minute; the job is told right at its start and requeues itself until it is done."""
    slow = {"partition": "normal", "signal_seconds": 50}
    sweeps = write_sweep(tmp_path / "sweeps", TOKENS, rho=(0.0,), slurm=slow, timeout_minutes=1)
    results = tmp_path / "results"
    process = driver("--sweeps", sweeps, "--results", results, env=environment)
    out, err = process.communicate(timeout=550)
    assert process.returncode == 0, out + err
    check(results, undisturbed, restarts=1)
    (folder,) = run_folders(results)
    assert {attempt["ended"] for attempt in RunFolder(folder).attempts()[:-1]} == {"timed out"}


@pytest.fixture
def node_again(running_cluster: Cluster) -> Iterator[None]:
    """Brings node 1 back."""
    yield
    running_cluster.start_node(1)
    running_cluster.ask("scontrol", "update", "nodename=node1", "state=resume")
    wait_for(lambda: "idle" in running_cluster.ask("sinfo", "-hn", "node1", "-p", "normal", "-o", "%T"), 60)


@pytest.mark.usefixtures("node_again")
def test_node_failure(cluster: Cluster, tmp_path: Path, environment: dict[str, str], undisturbed) -> None:
    """The run's node dies with all that runs on it: SLURM starts the job on another, which goes on or starts anew."""
    sweeps = write_sweep(tmp_path / "sweeps", TOKENS, rho=(0.0,))
    results = tmp_path / "results"
    process = driver("--sweeps", sweeps, "--results", results, env=environment)
    wait_for(lambda: training_for(results, 50), 120)
    assert cluster.ask("squeue", "-h", "-o", "%N").split() == ["node1"]
    cluster.stop_node(1)
    for pid in of_this_cluster(cluster):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    cluster.ask("scontrol", "update", "nodename=node1", "state=down", "reason=test")
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, out + err
    check(results, undisturbed, restarts=1)


def of_this_cluster(cluster: Cluster) -> list[int]:
    """Processes that this cluster's jobs are: their shepherds, and everything that was started with a job's id."""
    found = []
    for entry in Path("/proc").iterdir():
        with suppress(OSError):
            if entry.name.isdigit():
                shepherd = (entry / "cmdline").read_bytes().startswith(b"slurmstepd: ")
                variables = (entry / "environ").read_bytes().split(b"\0")
                ours = f"SLURM_CONF={cluster.config}".encode() in variables
                if ours and (shepherd or any(word.startswith(b"SLURM_JOB_ID=") for word in variables)):
                    found.append(int(entry.name))
    return found
