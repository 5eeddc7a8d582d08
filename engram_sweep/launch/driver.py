"""The sweep driver: submits what is not done, watches, submits killed runs again. All truth is on disk.

The driver owns no state that a crash could lose: a new one, or a second one beside it, reads the run folders and the
notes of their jobs, and goes on. Two drivers never submit a run twice, because they choose and submit in turn, and a
run is never trained twice at a time, because a worker holds its run folder's lock while it trains.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

from engram_sweep.corpus.shards import prepare
from engram_sweep.errors import UserError
from engram_sweep.launch.executors import Executor, InlineExecutor, LocalExecutor, cancel_jobs, job_states
from engram_sweep.launch.jobs import Job
from engram_sweep.launch.status import RunStatus, Survey, folder_of, sweep_status
from engram_sweep.plan import Plan
from engram_sweep.records import write_members
from engram_sweep.scale import Scale

POLL_SECONDS = 0.5
LOOKING_SHARE = 0.2
"""At most this share of the time goes into looking at the runs, however many they are."""
SIGNAL_SECONDS = 30
"""A local worker is signalled this long before its time is up."""
GRACE_SECONDS = 10
"""Workers that are asked to stop have this long to write a checkpoint."""


@dataclass
class Driver:
    """One pass over a plan.

    Args:
        plan: what to train.
        results: the results folder.
        executor: how workers start.
        parallel: workers side by side, those of another driver of this sweep included; an executor with a queue of its
            own gets all runs at once and holds back itself.
        retries: how often a run whose worker vanished without a word starts again.
        timeout_minutes: when the executor stops a worker; one that vanished then is not started again.
        watch: called with the state of all runs at every look.
    """

    plan: Plan
    results: Path
    executor: Executor
    parallel: int
    retries: int
    timeout_minutes: float
    watch: Callable[[list[RunStatus]], None] = lambda statuses: None
    own: list[Job] = field(default_factory=list)
    """Jobs that this driver submitted."""
    live: dict[str, float] = field(default_factory=dict)
    """When each run that had a live job at the last look was first seen to run (seconds, monotonic)."""
    judged: dict[str, str | None] = field(default_factory=dict)
    """The failure of each run, by its time, that needs no judgement any more: of an earlier sweep, or counted."""
    tries: Counter[str] = field(default_factory=Counter)
    given_up: set[str] = field(default_factory=set)

    def run(self) -> list[RunStatus]:
        """Train every run that is not done; returns how all of them stand.

        Runs that failed in an earlier sweep are tried again; one that fails in this one is not.

        Raises:
            KeyboardInterrupt: after asking this driver's workers to stop, where no queue outlives it.
        """
        survey = Survey(self.plan, self.results)
        self.judged = {s.run.run_id: _failed_at(s) for s in survey.look() if not s.finished}
        try:
            while True:
                began = time.monotonic()
                with _turn(self.results / self.plan.scale.name) as ours:
                    statuses = survey.look()
                    if ours:
                        for status in statuses:
                            self._judge(status)
                        self._submit(statuses)
                self.watch(statuses)
                if all(s.finished or s.run.run_id in self.given_up for s in statuses):
                    return survey.look()
                time.sleep(max(POLL_SECONDS, (time.monotonic() - began) / LOOKING_SHARE))
        except KeyboardInterrupt:
            if not self.executor.queues:
                self._stop()
            raise

    def _judge(self, status: RunStatus) -> None:
        """Look after a run whose job may have ended: well, with a failure, or without a word."""
        run_id = status.run.run_id
        if status.live:
            if status.state == "running" or run_id not in self.live:
                self.live.setdefault(run_id, time.monotonic())
            return
        since = self.live.pop(run_id, None)
        if status.finished or since is None:
            return
        folder = folder_of(status.run, self.results)
        if _failed_at(status) in (None, self.judged.get(run_id)):
            if time.monotonic() - since > 60 * self.timeout_minutes - SIGNAL_SECONDS:
                folder.write_failure("timed out", f"stopped at launch.timeout_minutes = {self.timeout_minutes:g}")
                self.given_up.add(run_id)
                return
            self.tries[run_id] += 1
            if self.tries[run_id] > self.retries:
                folder.write_failure("node", f"the worker vanished {self.tries[run_id]} times without a word")
                self.given_up.add(run_id)
        else:
            self.given_up.add(run_id)

    def _submit(self, statuses: list[RunStatus]) -> None:
        """Submit as many runs as there is room for, and note their jobs."""
        free = [s.run for s in statuses if not (s.finished or s.live or s.run.run_id in self.given_up)]
        if not self.executor.queues:
            free = free[: max(0, self.parallel - sum(s.live for s in statuses))]
        folders = [folder_of(run, self.results).path for run in free]
        # One by one where that costs nothing: a driver that is stopped in between leaves no job without its note.
        batches = [folders] if self.executor.queues and folders else [[folder] for folder in folders]
        for batch in batches:
            for job in self.executor.submit(batch):
                job.note()
                self.own.append(job)
                self.live[job.folder.name] = time.monotonic()

    def _stop(self) -> None:
        """Ask this driver's workers to stop, and see to it that they do."""
        cancel_jobs(self.own)
        deadline = time.monotonic() + GRACE_SECONDS
        while any(state != "ended" for state in job_states(self.own)):
            if time.monotonic() > deadline:
                cancel_jobs(self.own, force=True)
                return
            time.sleep(0.1)


def _failed_at(status: RunStatus) -> str | None:
    return status.failure.get("at") if status.failure else None


@contextmanager
def _turn(folder: Path) -> Iterator[bool]:
    """Whether it is this driver's turn to submit runs of the sweep in `folder`; the others' turns wait until the end.

    The kernel lets go of the lock however a driver dies.
    """
    handle = os.open(folder / "driver.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(handle)


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
    executor: Executor = (
        InlineExecutor() if inline else LocalExecutor(launch.timeout_minutes, launch.gpus if launch.gpu else 0)
    )
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
