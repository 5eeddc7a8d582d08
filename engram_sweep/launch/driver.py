"""The sweep driver: starts what is not done, watches, starts killed workers again. All truth is on disk.

The driver owns no state that a crash could lose: a new one, or a second one beside it, reads the run folders and goes
on. Two drivers never train a run twice, because a worker holds its run folder's lock while it trains.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

from engram_sweep.corpus.shards import prepare
from engram_sweep.errors import UserError
from engram_sweep.launch.executors import Executor, InlineExecutor, Job, LocalExecutor
from engram_sweep.launch.status import RunStatus, folder_of, sweep_status
from engram_sweep.plan import Plan, PlannedRun
from engram_sweep.records import write_members
from engram_sweep.scale import Scale

POLL_SECONDS = 0.5
SIGNAL_SECONDS = 30
"""A local worker is signalled this long before its time is up."""


@dataclass
class _Started:
    run: PlannedRun
    job: Job
    since: float


@dataclass
class Driver:
    """One pass over a plan.

    Args:
        plan: what to train.
        results: the results folder.
        executor: how workers start.
        parallel: workers side by side, those of another driver of this sweep included.
        retries: how often a run whose worker vanished without a word starts again.
        timeout_minutes: when the executor stops a worker; one that vanished then is not started again.
        watch: called with the state of all runs after every change, and every few seconds.
    """

    plan: Plan
    results: Path
    executor: Executor
    parallel: int
    retries: int
    timeout_minutes: float
    watch: Callable[[list[RunStatus]], None] = lambda statuses: None
    started: dict[str, _Started] = field(default_factory=dict)
    attempts: dict[str, int] = field(default_factory=dict)
    failed: set[str] = field(default_factory=set)

    def run(self) -> list[RunStatus]:
        """Train every run that is not done; returns how all of them stand.

        Runs that failed in an earlier sweep are tried again; one that fails in this one is not.

        Raises:
            KeyboardInterrupt: after asking this driver's workers to stop.
        """
        try:
            while True:
                self._collect()
                statuses = sweep_status(self.plan, self.results)
                self.watch(statuses)
                waiting = [s for s in statuses if not s.finished and s.run.run_id not in self.failed]
                if not waiting:
                    return statuses
                if not self._start(waiting):
                    time.sleep(POLL_SECONDS)
        except KeyboardInterrupt:
            self._stop()
            raise

    def _start(self, waiting: list[RunStatus]) -> bool:
        """Start as many runs as there is room for; whether any was."""
        running = {s.run.run_id for s in waiting if s.state == "running"} | set(self.started)
        free = [s.run for s in waiting if s.run.run_id not in running]
        chosen = free[: max(0, self.parallel - len(running))]
        for run in chosen:
            folder = folder_of(run, self.results)
            self.attempts[run.run_id] = self.attempts.get(run.run_id, 0) + 1
            self.started[run.run_id] = _Started(run, self.executor.submit(folder.path), time.monotonic())
        return bool(chosen)

    def _collect(self) -> None:
        """Look after ended workers: done, failed, taken by another driver's worker, or killed."""
        for run_id, started in list(self.started.items()):
            if not started.job.done():
                continue
            del self.started[run_id]
            folder = folder_of(started.run, self.results)
            if folder.is_done() or folder.is_held():
                continue
            if folder.failure():
                self.failed.add(run_id)
            elif time.monotonic() - started.since > 60 * self.timeout_minutes - SIGNAL_SECONDS:
                folder.write_failure("timed out", f"stopped at launch.timeout_minutes = {self.timeout_minutes:g}")
                self.failed.add(run_id)
            elif self.attempts[run_id] > self.retries:
                folder.write_failure("node", f"the worker vanished {self.attempts[run_id]} times without a word")
                self.failed.add(run_id)

    def _stop(self) -> None:
        for started in self.started.values():
            started.job.cancel()
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline and not all(s.job.done() for s in self.started.values()):
            time.sleep(0.1)


def sweep(
    plan: Plan,
    results: Path,
    watch: Callable[[list[RunStatus]], None],
    inline: bool = False,
    corpus: Path | None = None,
) -> list[RunStatus]:
    """Train a plan.

    Args:
        plan: the plan.
        results: results folder; everything of this sweep goes to `<results>/<scale>/`.
        watch: told how the runs stand.
        inline: train in this process instead of the scale's executor.
        corpus: the folder of token shards where the corpus is the user's own; `launch.corpus_path` without it.

    Returns:
        The state of every run, at the end.

    Raises:
        UserError: the corpus is missing or another one, this machine is not what the scale asks for, or the results
            folder cannot be written.
        KeyboardInterrupt: stopped; workers of this driver were asked to stop.
    """
    statuses = sweep_status(plan, results)
    finished = all(status.finished for status in statuses)
    launch = plan.scale.launch
    if not finished and (missing := what_is_missing(plan.scale)) is not None:
        raise UserError(missing)
    if corpus is None and launch.corpus_path is not None:
        corpus = Path(launch.corpus_path)
    inline = inline or launch.executor == "inline"
    executor = InlineExecutor() if inline else LocalExecutor(launch.timeout_minutes, launch.gpus if launch.gpu else 0)
    parallel = 1 if inline else launch.parallel or (1 if launch.gpu else len(os.sched_getaffinity(0)))
    # Many small workers side by side beat few with many threads each; set before torch is imported anywhere.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    try:
        if not finished:
            _lay_out(plan, results, corpus)
        write_members(plan.scale.name, [run.run_id for run in plan.runs], results)
        if finished:
            return statuses
        return Driver(plan, results, executor, parallel, launch.retries, launch.timeout_minutes, watch).run()
    except OSError as error:
        raise UserError(f"{results}: expected a results folder with room to write: {error}") from None


def what_is_missing(scale: Scale) -> str | None:
    """What keeps this machine from launching a scale that asks for GPUs, in one line; None where nothing does."""
    launch = scale.launch
    if launch.gpu is None:
        return None
    lacks = [] if any(Path("/dev").glob("nvidia[0-9]*")) else ["no GPU"]
    if launch.executor != "slurm":
        return f"{scale.name}: no GPU here, launch.gpu asks for {launch.gpu}; nothing was launched" if lacks else None
    lacks += [] if shutil.which("sbatch") else ["no SLURM (sbatch)"]
    here = f"{' and '.join(lacks)} here, and " if lacks else ""
    return (
        f"{scale.name}: {here}submitting to SLURM is not implemented yet: nothing was launched; writing the "
        f"sbatch scripts is to be DRY_RUN=1 make sweep SCALE={scale.name}"
    )


def _lay_out(plan: Plan, results: Path, corpus: Path | None) -> None:
    """Tokenise the corpus once and write every run's job."""
    shards = prepare(plan.runs[0].spec.corpus, results / "corpora", corpus)
    for run in plan.runs:
        folder = folder_of(run, results)
        if folder.is_done() or folder.is_held():
            continue
        ledger = run.allocation.ledger
        folder.write_job(
            {
                "run_id": run.run_id,
                "scale": run.scale,
                "rho_asked": run.allocation.rho_asked,
                "ledger": {
                    name: getattr(ledger, name)
                    for name in ("params_total", "params_active", "params_table", "flops_per_token")
                },
                "shards": str(shards.resolve()),
                "threads": 1,
                "nodes": 1,
                "devices": 1,
                "timeout_minutes": plan.scale.launch.timeout_minutes,
                "signal_seconds": SIGNAL_SECONDS,
                "checkpoint_minutes": plan.scale.launch.checkpoint_minutes,
                "retries": {"preempted": 100, "timed_out": 100},
                "spec": asdict(run.spec),
            }
        )
