"""How every run of a plan stands: from disk and from its queues. No living driver is needed."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engram_sweep.launch.executors.registry import job_states, jobs_of, reason_of
from engram_sweep.launch.jobs import Job, State, noted_job
from engram_sweep.planning.plan import Plan, PlannedRun
from engram_sweep.runs.failures import Failure, FailureKind
from engram_sweep.runs.folder import RunFolder
from engram_sweep.runs.record_cache import FOLDER, collect, is_grown
from engram_sweep.runs.record_schema import ALWAYS
from engram_sweep.runs.records import FILE_NAME, runs_folder

STATES = ("planned", "queued", "running", "preempted", "done", "diverged", "failed")
MAX_SECONDS_LEFT = 1e9
"""Half a life: a speed that would take longer is none."""
COLUMNS = (*ALWAYS, "steps", "tokens_per_second")
"""Columns of a record that make it one, and those that the status shows."""


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
    train_loss: float | None = None
    """Of a running run: nats/token, mean over its last hundredth."""
    failure: Failure | None = None
    job: Job | None = None
    """The job last submitted for it, if it is not finished."""
    live: bool = False
    """Whether a job or a worker of any driver is at it: it is not to be submitted."""
    waiting: str | None = None
    """Why its queue lets it wait, if it says so."""

    @property
    def seconds_left(self) -> float | None:
        """Until the last step, at the speed of the last tokens; None if that is not known."""
        if (
            self.state != "running"
            or not self.tokens_per_second
            or self.step is None
            or self.steps is None
        ):
            return None
        training = self.run.spec.training
        tokens = (self.steps - self.step) * training.window * training.batch_windows
        left = tokens / self.tokens_per_second
        return left if left < MAX_SECONDS_LEFT else None

    @property
    def finished(self) -> bool:
        """Whether its record is written."""
        return self.state in ("done", "diverged")

    def row(self) -> dict[str, Any]:
        """Return plain data for tables and `--json`."""
        loss = self.validation_loss
        return {
            "run_id": self.run.run_id,
            "arm": self.run.spec.arm,
            "rho": self.run.spec.rho,
            "seed": self.run.spec.seed,
            "state": self.state,
            "validation_loss": loss if loss == loss else None,
            "train_loss": self.train_loss,
            "step": self.step,
            "steps": self.steps,
            "tokens_per_second": self.tokens_per_second,
            "seconds_left": self.seconds_left,
            "job": {"executor": self.job.executor, "id": self.job.id}
            if self.live and self.job
            else None,
            "waiting": self.waiting,
            "failure": self.failure,
        }


def folder_of(run: PlannedRun, results: Path) -> RunFolder:
    """Return the run's folder."""
    return RunFolder(runs_folder(results, run.scale) / run.run_id)


@dataclass
class Survey:
    """The state of every run of a plan. Poll it again and again: a finished run is read once."""

    plan: Plan
    results: Path
    unnoted: list[Job] = field(default_factory=list)
    """Live jobs that the last poll found without their notes."""
    _finished: dict[str, RunStatus] = field(default_factory=dict)
    _uncopied: int = 0
    """Records that were read one by one since the last time that all were read."""

    def poll(self, settle: bool = False) -> list[RunStatus]:
        """Return the state of every planned run, in the plan's order.

        Args:
            settle: take some seconds if a queue is not sure of a job; who polls again and again
                has no need of it.
        """
        self._find_finished(list(self.plan.runs))
        left = [run for run in self.plan.runs if run.run_id not in self._finished]
        jobs = {
            run.run_id: job
            for run in left
            if (job := noted_job(folder_of(run, self.results).path)) is not None
        }
        states = self._states(jobs, settle)
        # Jobs without a note, or with that of another job which has ended.
        if left:
            ours = {run.run_id for run in left}
            found = {
                job.folder.name: job
                for job in jobs_of(self.results / self.plan.scale.name)
                if job.folder.name in ours and states.get(job.folder.name, "ended") == "ended"
            }
            self.unnoted = list(found.values())
            jobs, states = jobs | found, states | self._states(found, settle)
        # Again, after the queues: a job that they call ended has written what it had to write.
        self._find_finished([run for run in left if run.run_id in jobs])
        return [
            self._finished.get(run.run_id)
            or self._unfinished(run, jobs.get(run.run_id), states.get(run.run_id))
            for run in self.plan.runs
        ]

    @staticmethod
    def _states(jobs: dict[str, Job], settle: bool) -> dict[str, State]:
        return dict(zip(jobs, job_states(list(jobs.values()), settle), strict=True))

    def _find_finished(self, runs: list[PlannedRun]) -> None:
        """Read the records that came since the last time, as one table if they are many."""
        new = {run.run_id: run for run in runs if run.run_id not in self._finished}
        new = {
            name: run for name, run in new.items() if folder_of(run, self.results).record.exists()
        }
        self._uncopied += len(new)
        folder, many = (
            runs_folder(self.results, self.plan.scale.name),
            is_grown(self._uncopied, len(self._finished)),
        )
        if many:
            self._uncopied = 0
            # Only who looks again and again, a driver, has the time to keep the copy up to date for
            # the others.
            if self._finished:
                collect(folder, FILE_NAME)
        for row in collect(folder, FILE_NAME, COLUMNS, None if many else new)[0].to_pylist():
            if (run := new.get(row[FOLDER])) is not None and row.get("run_id") == run.run_id:
                state = "done" if row.get("outcome") == "ok" else "diverged"
                measured = (
                    row.get("validation_loss"),
                    row.get("steps"),
                    run.spec.training.steps,
                    row.get("tokens_per_second"),
                )
                self._finished[run.run_id] = RunStatus(run, state, *measured)

    def _unfinished(self, run: PlannedRun, job: Job | None, state: State | None) -> RunStatus:
        folder = folder_of(run, self.results)
        live, steps = state not in (None, "ended"), run.spec.training.steps
        failure = folder.failure()
        if state == "unknown" and job is not None:
            state = _state_by_files(folder, job, failure)
        if state == "running" or folder.is_held():
            progress = folder.progress()
            return RunStatus(
                run,
                "running",
                step=progress.get("step", 0),
                steps=steps,
                tokens_per_second=progress.get("tokens_per_second"),
                train_loss=progress.get("train_loss"),
                job=job,
                live=True,
            )
        if failure is not None and failure["kind"] == FailureKind.PREEMPTED:
            step = folder.checkpoint_step()
            return RunStatus(
                run, "preempted", step=step, steps=steps, failure=failure, job=job, live=live
            )
        if live and state != "ended":
            return RunStatus(
                run, "queued", failure=failure, job=job, live=True, waiting=reason_of(job)
            )
        ended = "failed" if failure else "planned"
        return RunStatus(run, ended, failure=failure, job=job, live=live)


def _state_by_files(folder: RunFolder, job: Job, failure: Failure | None) -> State:
    """Return how a job stands as far as its run's files show, if its queue does not answer."""
    attempts = folder.attempts()
    if not attempts or attempts[-1]["started_at"] < job.submitted_at:
        return "unknown"
    if attempts[-1]["ended"] is None:
        return "running"
    comes_back = failure and failure["kind"] in (FailureKind.PREEMPTED, FailureKind.TIMED_OUT)
    return "unknown" if comes_back else "ended"


def sweep_status(plan: Plan, results: Path) -> list[RunStatus]:
    """Return the state of every planned run."""
    return Survey(plan, results).poll(settle=True)


def counts(statuses: list[RunStatus]) -> dict[str, int]:
    """Return the number of runs in each state."""
    return {state: sum(s.state == state for s in statuses) for state in STATES}
