"""The twin of a sweep trained for some steps on its small mesh, killed in the middle, resumed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from engram_sweep.config.slurm import Slurm
from engram_sweep.launch.executors.registry import SCHEDULERS
from engram_sweep.launch.executors.slurm import SlurmScheduler
from engram_sweep.launch.executors.slurm_clients import client
from engram_sweep.launch.status import RunStatus, folder_of
from engram_sweep.launch.sweep import sweep
from engram_sweep.planning.plan import Plan, PlannedRun
from engram_sweep.runs.records import read_runs

PING_SECONDS = 5.0
TOLERANCE = {"fp32": 1e-4, "bf16": 2e-2}
"""Largest difference of a training loss from that of one process, nats/token, by precision.

Sums are added in another order; in bf16 that now and then rounds the other way."""


@dataclass
class Practised:
    """One run of the twin."""

    run: PlannedRun
    launcher: str
    """`local`, or `slurm`."""
    mesh: str
    """Copies x processes of each, e.g. `2 x 2`."""
    outcome: str
    steps: int
    attempts: int
    """2 if it was killed and came back once."""
    was_killed: bool
    losses: list[float] = field(repr=False)
    """Training losses, nats/token."""
    off: float = math.nan
    """Largest difference from the losses of one process; NaN if that was not trained."""

    @property
    def holds(self) -> bool:
        """Whether it trained to its end, came back if it was killed, and lost nothing."""
        came_back = self.attempts > 1 or not self.was_killed
        same = math.isnan(self.off) or self.off <= TOLERANCE[self.run.spec.training.precision]
        return self.outcome == "ok" and came_back and same


@dataclass
class _Strike:
    """Kills a run once, as soon as it has a checkpoint to go on from.

    On this machine its processes get SIGKILL; SLURM kills and requeues its job itself.
    """

    victim: str
    results: Path
    done: bool = False

    def __call__(self, statuses: Sequence[RunStatus]) -> None:
        for status in statuses:
            folder = folder_of(status.run, self.results)
            is_at_work = status.run.run_id == self.victim and status.state == "running"
            if self.done or not is_at_work or status.job is None or not folder.checkpoint_step():
                continue
            if status.job.executor == SlurmScheduler.name:
                self.done = client("scontrol", "requeue", status.job.id) is not None
            else:
                SCHEDULERS[status.job.executor].queue.cancel([status.job], force=True)
                self.done = True


def slurm_is_here() -> bool:
    """Return whether there is a SLURM that answers and takes jobs from here."""
    answer = client("scontrol", "ping", seconds=PING_SECONDS)
    return answer is not None and " UP" in answer


def practise(
    plan: Plan, folder: Path, launcher: str, runs: Sequence[PlannedRun]
) -> list[Practised]:
    """Train runs of a twin through a launcher; the last of them is killed in the middle.

    Args:
        plan: the twin's.
        folder: for results.
        launcher: `local` or `slurm`.
        runs: which of the plan's.

    Raises:
        UserError: they cannot be launched.
    """
    strike = _Strike(runs[-1].run_id, folder)
    sweep(plan, folder, strike, executor=launcher, only=[run.run_id for run in runs])
    records = read_runs(plan.scale.name, folder).set_index("run_id")
    found = []
    for run in runs:
        if run.run_id not in records.index:
            failure = folder_of(run, folder).failure()
            outcome = f"failed: {failure['message']}" if failure else "failed"
            found.append(Practised(run, launcher, "", outcome, 0, 0, strike.done, []))
            continue
        record = records.loc[run.run_id]
        placement = folder_of(run, folder).read_work_order().placement
        found.append(
            Practised(
                run=run,
                launcher=launcher,
                mesh=f"{placement.replicas} x {placement.shards}",
                outcome=record.outcome,
                steps=int(record.steps),
                attempts=1 + int(record.restarts),
                was_killed=strike.done and run.run_id == strike.victim,
                losses=[float(loss) for loss in record.curve_losses],
            )
        )
    return found


def alone(plan: Plan) -> Plan:
    """Return a twin's plan on one process, which trains whole steps: the same runs by their ids."""
    launch = plan.scale.launch.model_copy(
        update={
            "slurm": Slurm(),
            "shard": "node",
            "micro_windows": None,
            "recompute": None,
            "loss_chunk": None,
        }
    )
    return replace(plan, scale=plan.scale.model_copy(update={"launch": launch}))


def compare(practised: Sequence[Practised], reference: Practised) -> None:
    """Note how far losses are from those of one process, where both trained one run."""
    for each in practised:
        if each.run.run_id == reference.run.run_id and len(each.losses) == len(reference.losses):
            each.off = float(np.abs(np.subtract(each.losses, reference.losses)).max())
