"""How every run of a plan stands, read from disk alone; nothing here needs a living driver."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from engram_sweep.plan import Plan, PlannedRun
from engram_sweep.records import runs_folder
from engram_sweep.runfolder import RunFolder

STATES = ("planned", "running", "done", "diverged", "failed")


@dataclass(frozen=True)
class RunStatus:
    """One run's state and what there is to say about it."""

    run: PlannedRun
    state: str
    """One of `STATES`; `diverged` is a finished result too."""
    validation_loss: float | None = None
    step: int | None = None
    steps: int | None = None
    tokens_per_second: float | None = None
    failure: dict[str, Any] | None = None

    @property
    def finished(self) -> bool:
        """Whether its record is written."""
        return self.state in ("done", "diverged")

    def row(self) -> dict[str, Any]:
        """Plain data for tables and `--json`."""
        loss = self.validation_loss
        return {
            "run_id": self.run.run_id,
            "arm": self.run.spec.arm,
            "rho": self.run.spec.rho,
            "seed": self.run.spec.seed,
            "state": self.state,
            "validation_loss": loss if loss == loss else None,
            "step": self.step,
            "steps": self.steps,
            "tokens_per_second": self.tokens_per_second,
            "failure": self.failure,
        }


def folder_of(run: PlannedRun, results: Path) -> RunFolder:
    """The run's folder."""
    return RunFolder(runs_folder(results, run.scale) / run.run_id)


def run_status(run: PlannedRun, results: Path) -> RunStatus:
    """The state of one run."""
    folder = folder_of(run, results)
    if folder.is_done():
        row = pq.read_table(folder.record, columns=["outcome", "validation_loss", "steps", "tokens_per_second"])
        outcome, loss, steps, speed = (column[0].as_py() for column in row.columns)
        return RunStatus(run, "done" if outcome == "ok" else "diverged", loss, steps, run.spec.training.steps, speed)
    if folder.is_held():
        progress = folder.progress()
        speed = progress.get("tokens_per_second")
        return RunStatus(run, "running", None, progress.get("step", 0), run.spec.training.steps, speed)
    if failure := folder.failure():
        return RunStatus(run, "failed", failure=failure)
    return RunStatus(run, "planned")


def sweep_status(plan: Plan, results: Path) -> list[RunStatus]:
    """The state of every planned run."""
    return [run_status(run, results) for run in plan.runs]


def counts(statuses: list[RunStatus]) -> dict[str, int]:
    """Runs in each state."""
    return {state: sum(s.state == state for s in statuses) for state in STATES}
