"""One run on two processes.

Real ones, over gloo, started by submitit as on one machine with two devices.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import submitit
import torch

from engram_sweep import worker
from engram_sweep.corpus.shards import prepare
from engram_sweep.planning.plan import Plan, PlannedRun
from engram_sweep.runs.folder import RunFolder
from engram_sweep.runs.records import read_parquet
from engram_sweep.spec import run_id
from engram_sweep.training import layout, train
from engram_sweep.training.weights import load_trained
from tests.examples import work_order
from tests.waiting import wait_for

pytestmark = pytest.mark.xdist_group("two processes")


def lay_out(
    run: PlannedRun, folder: Path, corpora: Path, devices: int, **changes: Any
) -> RunFolder:
    here = RunFolder(folder / run.run_id)
    shards = prepare(run.spec.corpus, corpora)
    here.write_work_order(work_order(run, shards, devices, **changes))
    return here


PATIENCE = timedelta(seconds=15)
"""In place of the ten minutes that a process has to come to a collective."""


def impatient(folder: str) -> None:
    """The worker, with less patience for the other processes of its run."""
    layout.TIMEOUT = train.TIMEOUT = PATIENCE
    worker.run(folder)


def start(here: RunFolder, devices: int, work: Callable[[str], None] = worker.run) -> submitit.Job:
    executor = submitit.LocalExecutor(folder=here.path / "job")
    executor.update_parameters(timeout_min=10, tasks_per_node=devices)
    return executor.submit(work, str(here.path))


def wait(job: submitit.Job) -> None:
    while not job.done():
        time.sleep(0.1)


def finish(job: submitit.Job, here: RunFolder) -> None:
    wait(job)
    assert here.failure() is None, here.failure()


def rank_process(job: submitit.Job, rank: int) -> int:
    """The process id of one rank of a job on this machine; waits until it is there."""
    wanted = f"SUBMITIT_LOCAL_GLOBALID={rank}".encode()
    while True:
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                variables = (folder / "environ").read_bytes().split(b"\0")
            except OSError:
                continue
            if wanted in variables and f"SUBMITIT_LOCAL_JOB_ID={job.job_id}".encode() in variables:
                return int(folder.name)
        time.sleep(0.05)


def wait_for_step(here: RunFolder, step: int) -> None:
    wait_for(lambda: here.progress().get("step", 0) >= step, pause=0.005)


def lost(here: RunFolder, job: submitit.Job, rank: int, by: signal.Signals, message: str) -> None:
    """Strike a process once the run has a new checkpoint; its job ends, and says why."""
    victim, before = rank_process(job, rank), here.checkpoint_step()
    while here.checkpoint_step() <= before:
        assert not job.done(), here.failure()
        time.sleep(0.005)
    os.kill(victim, by)
    struck = time.monotonic()
    wait(job)
    assert time.monotonic() - struck < 60
    assert not Path(f"/proc/{victim}").exists(), "nothing of the job is left"
    failure = here.failure()
    assert failure is not None
    assert failure["kind"] == "node", "such a run starts again"
    assert failure["message"].startswith(f"{message} (")
    (here.path / "progress.json").unlink()  # that of the next attempt is waited for


@pytest.fixture(scope="module")
def runs(
    smoke_plan: Plan, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, tuple[RunFolder, pd.Series]]:
    """One planned run, trained by one process, by two, and by two that were struck on the way.

    The last one has a process killed, in the middle of whatever both did together, then one that
    hangs, and is then asked to stop.
    """
    folder = tmp_path_factory.mktemp("ranks")
    run = next(run for run in smoke_plan.runs if run.allocation.rho_asked == 0.5)
    found: dict[str, Any] = {}
    for name, devices in {"one": 1, "two": 2, "two, struck": 2}.items():
        changes = {"checkpoint_minutes": 0.0} if name == "two, struck" else {}
        here = lay_out(run, folder / name, folder / "corpora", devices, **changes)
        job = start(here, devices)
        if name == "two, struck":
            lost(here, job, 1, signal.SIGKILL, "another process of the run is gone")
            job = start(here, devices, impatient)
            # The process that holds the lock and writes hangs.
            lost(here, job, 0, signal.SIGSTOP, "another process of the run did not answer in time")
            job = start(here, devices)
            wait_for_step(here, 1)
            os.kill(int(job.job_id), signal.SIGTERM)  # submitit hands it on to both
            wait(job)
            failure = here.failure()
            assert failure is not None
            assert failure["kind"] == "preempted"
            assert "asked to stop after step" in failure["message"]
            job = start(here, devices)
        finish(job, here)
        found[name] = here, read_parquet(here.record).iloc[0]
    return found


def test_two_processes_train_the_same_model(runs) -> None:
    one, two = runs["one"][1], runs["two"][1]
    assert (one.world_size, two.world_size) == (1, 2)
    assert list(two.window_tokens) == list(one.window_tokens)
    # Sums over the batch are taken in another order, so not bit for bit.
    np.testing.assert_allclose(two.window_losses, one.window_losses, rtol=2e-3)
    assert two.validation_loss == pytest.approx(one.validation_loss, rel=1e-3)
    np.testing.assert_allclose(two.curve_losses[:2], one.curve_losses[:2], rtol=1e-5)
    np.testing.assert_allclose(two.gate_mean, one.gate_mean, rtol=1e-2)
    assert sum(map(sum, two.expert_load)) == pytest.approx(sum(map(sum, one.expert_load)))


def test_two_processes_that_were_struck_end_bit_equal(runs) -> None:
    (here, stopped), (_, two) = runs["two, struck"], runs["two"]
    assert stopped.restarts == 3
    ended = [attempt["ended"] for attempt in here.attempts()]
    assert ended == ["node", "node", "preempted", "done"]
    # The process that writes was the one that hung, so its attempt could not say its last step.
    assert [attempt.get("step", 0) >= 1 for attempt in here.attempts()] == [True, False, True, True]
    for name in ("validation_loss", "window_losses", "curve_losses", "train_loss", "expert_load"):
        assert repr(stopped[name]) == repr(two[name]), name
    assert not here.checkpoints.exists(), "a finished run keeps none"


def test_the_first_process_keeps_the_weights(runs) -> None:
    """Those of the run that was stopped are the same, bit for bit; all rows are up to date."""
    here, _ = runs["two, struck"]
    model, spec = load_trained(here.path)
    assert run_id(spec) == here.run_id
    whole = load_trained(runs["two"][0].path)[0].state_dict()
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, whole[name]), name
    alone = load_trained(runs["one"][0].path)[0]
    [ours], [theirs] = model.tables(), alone.tables()
    torch.testing.assert_close(ours, theirs, rtol=0, atol=0.02)


def test_when_one_process_fails_both_end_and_the_reason_is_kept(
    smoke_plan: Plan, runs, tmp_path: Path
) -> None:
    run = smoke_plan.runs[0]
    here = lay_out(run, tmp_path, runs["one"][0].path.parent.parent / "corpora", 2)
    (here.path / "logs").write_text("in the way of rank 0")
    wait(start(here, 2))
    failure = here.failure()
    assert failure is not None
    assert failure["kind"] == "node"
    assert "logs" in failure["message"]
