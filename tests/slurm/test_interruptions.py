"""Jobs that SLURM interrupts in mid-training come back by themselves and lose nothing.

Minutes each.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from engram_sweep.runs.folder import RunFolder
from engram_sweep.runs.records import read_runs
from tests.conftest import call
from tests.slurm.cluster import NODES, Cluster
from tests.slurm.sweeps import driver, run_folders, write_sweep
from tests.waiting import wait_for

pytestmark = pytest.mark.slow

TOKENS = 400_000


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory):
    """The run that nobody interrupts, trained here without SLURM."""
    folder = tmp_path_factory.mktemp("undisturbed")
    sweeps = write_sweep(folder / "sweeps", TOKENS, rho=(0.0,), executor="local")
    done = call("sweep", "smoke", "--sweeps", sweeps, "--results", folder / "results")
    assert done.returncode == 0, done.stderr
    return read_runs("smoke", folder / "results").iloc[0]


def stop_in_mid_training(cluster: Cluster, results: Path) -> None:
    """Wait until the one run has trained some steps, and hold its worker there.

    SLURM wakes (SIGCONT) what it signals.
    """
    wait_for(
        lambda: any(RunFolder(folder).progress().get("step", 0) for folder in run_folders(results)),
        120,
    )
    (worker,) = workers(cluster)
    os.kill(worker, signal.SIGSTOP)


def check(results: Path, undisturbed, restarts: int) -> None:
    """The run's one record is the undisturbed run's, and says how often it was interrupted."""
    frame = read_runs("smoke", results)
    assert len(frame) == 1
    run = frame.iloc[0]
    for column in ("validation_loss", "tokens", "outcome"):
        assert run[column] == undisturbed[column], column
    assert list(run.window_losses) == list(undisturbed.window_losses)
    assert run.restarts >= restarts


def test_preemption(
    cluster: Cluster, tmp_path: Path, environment: dict[str, str], undisturbed
) -> None:
    """A job of higher priority takes all nodes: a checkpoint, the queue, and on from there."""
    sweeps = write_sweep(
        tmp_path / "sweeps", TOKENS, rho=(0.0,), slurm={"partition": "low"}, timeout_minutes=30
    )
    results = tmp_path / "results"
    process = driver("--sweeps", sweeps, "--results", results, env=environment)
    stop_in_mid_training(cluster, results)
    high = ["--partition=high", f"--nodes={NODES}", "--exclusive", f"--output={tmp_path}/high"]
    cluster.ask("sbatch", *high, "--wrap=sleep 5")
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, out + err
    check(results, undisturbed, restarts=1)
    (folder,) = run_folders(results)
    assert [attempt["ended"] for attempt in RunFolder(folder).attempts()] == ["preempted", "done"]


def test_time_limit(
    cluster: Cluster, tmp_path: Path, environment: dict[str, str], undisturbed
) -> None:
    """Told ahead of its time limit, a job saves, requeues itself, and goes on."""
    slurm = {"signal_seconds": 15}
    sweeps = write_sweep(tmp_path / "sweeps", TOKENS, rho=(0.0,), slurm=slurm, timeout_minutes=2)
    results = tmp_path / "results"
    process = driver("--sweeps", sweeps, "--results", results, env=environment)
    stop_in_mid_training(cluster, results)
    out, err = process.communicate(timeout=400)
    assert process.returncode == 0, out + err
    check(results, undisturbed, restarts=1)
    (folder,) = run_folders(results)
    # SLURM may be up to a minute early, which a worker takes for preemption.
    assert RunFolder(folder).attempts()[0]["ended"] in ("timed out", "preempted")
    assert not [line for line in cluster.jobs("--states=TIMEOUT") if "engram-smoke" in line]


@pytest.fixture
def node_again(running_cluster: Cluster) -> Iterator[None]:
    """Brings node 1 back."""
    yield
    running_cluster.start_node(1)
    running_cluster.ask("scontrol", "update", "nodename=node1", "state=resume")
    wait_for(
        lambda: "idle" in running_cluster.ask("sinfo", "-hn", "node1", "-p", "normal", "-o", "%T"),
        60,
    )


@pytest.mark.usefixtures("node_again")
def test_node_failure(
    cluster: Cluster, tmp_path: Path, environment: dict[str, str], undisturbed
) -> None:
    """The run's node dies with all that runs on it.

    SLURM starts the job on another, which goes on or starts anew.
    """
    sweeps = write_sweep(tmp_path / "sweeps", TOKENS, rho=(0.0,))
    results = tmp_path / "results"
    process = driver("--sweeps", sweeps, "--results", results, env=environment)
    stop_in_mid_training(cluster, results)
    assert cluster.ask("squeue", "-h", "-o", "%N").split() == ["node1"]
    cluster.stop_node(1)
    for pid in processes(cluster):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    cluster.ask("scontrol", "update", "nodename=node1", "state=down", "reason=test")
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, out + err
    check(results, undisturbed, restarts=1)


def processes(cluster: Cluster) -> dict[int, bytes]:
    """Command lines of all processes of this cluster's jobs.

    Their shepherds and whatever has a job's id.
    """
    found = {}
    for entry in Path("/proc").iterdir():
        with suppress(OSError):
            if entry.name.isdigit() and int(entry.name) != os.getpid():
                line, variables = (
                    (entry / "cmdline").read_bytes(),
                    (entry / "environ").read_bytes().split(b"\0"),
                )
                of_a_job = line.startswith(b"slurmstepd: ") or any(
                    v.startswith(b"SLURM_JOB_ID=") for v in variables
                )
                if of_a_job and f"SLURM_CONF={cluster.config}".encode() in variables:
                    found[int(entry.name)] = line
    return found


def workers(cluster: Cluster) -> list[int]:
    """Processes that train."""
    return [
        pid
        for pid, line in processes(cluster).items()
        if b"engram_sweep.worker" in line and b"srun" not in line
    ]
