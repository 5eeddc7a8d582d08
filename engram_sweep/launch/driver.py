"""The sweep driver: submits what is not done, watches, submits killed runs again.

All truth is on disk.

The driver owns no state that a crash could lose: a new one, or a second one beside it, reads the
run folders and the notes of their jobs, and goes on. Two drivers never submit a run twice, because
they choose and submit in turn, and a run is never trained twice at a time, because a worker holds
its run folder's lock while it trains.
"""

from __future__ import annotations

import errno
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from engram_sweep.config.launch import Retries
from engram_sweep.launch.driver_lock import CancelMark, is_deleted, turn
from engram_sweep.launch.executors.local import SIGNAL_SECONDS
from engram_sweep.launch.executors.protocol import Executor, Refused
from engram_sweep.launch.executors.registry import failure_of, stop_jobs
from engram_sweep.launch.jobs import Job, now
from engram_sweep.launch.status import RunStatus, Survey, folder_of
from engram_sweep.planning.plan import PlannedRun
from engram_sweep.runs.failures import FailureKind, speaks_of_memory, tries_allowed
from engram_sweep.runs.folder import RunFolder

POLL_SECONDS = 0.5
MAX_POLLING_SHARE = 0.2
"""At most this share of the time goes into polling the runs, however many they are."""
RETRY_SECONDS = 60
"""A queue that refuses jobs in mid-sweep is asked again after so long."""
MAX_REFUSED_SECONDS = 3600
"""A queue that has refused jobs for so long ends the sweep."""


@dataclass
class _Watched:
    """A live job: the checkpointed step it began with, and since when it runs (s, monotonic)."""

    step: int
    running_since: float | None = None


@dataclass
class Driver:
    """One pass over a plan.

    Args:
        survey: how the runs of the plan stand.
        executor: how workers start.
        parallel: workers side by side, those of another driver of this sweep included; an executor
            with a queue of its own gets all runs at once and holds back itself.
        retries: how often a run starts again, by how its attempt ended.
        timeout_minutes: when the executor stops a worker.
        watch: called with the state of all runs at every poll.
        lay_out: makes a run's folder again, if somebody deleted it in mid-sweep.
        gave_up: called with a run that failed and does not start again in this sweep.
    """

    survey: Survey
    executor: Executor
    parallel: int
    retries: Retries
    timeout_minutes: float
    watch: Callable[[list[RunStatus]], None] = lambda statuses: None
    lay_out: Callable[[PlannedRun], None] = lambda run: None
    gave_up: Callable[[RunStatus], None] = lambda status: None
    own: list[Job] = field(default_factory=list)
    """Jobs that this driver submitted."""
    watched: dict[str, _Watched] = field(default_factory=dict)
    judged: dict[str, str | None] = field(default_factory=dict)
    """By run, the time of the failure that was judged: an earlier sweep's, or a counted one."""
    tries: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Failures in this sweep, by run and class."""
    given_up: set[str] = field(default_factory=set)
    """Runs that this driver leaves as they are."""
    since: str = field(default_factory=now)
    """When the command was given; a cancellation after that counts."""
    _first: bool = True
    _refused_since: float | None = None
    """When the queue began to refuse jobs (s, monotonic); None if it took the last ones."""
    _refused_until: float = 0.0

    @property
    def folder(self) -> Path:
        """`<results>/<scale>`."""
        return self.survey.results / self.survey.plan.scale.name

    def run(self) -> list[RunStatus]:
        """Train every run that is not done; return how all of them stand.

        Runs that failed in an earlier sweep are tried again, whatever it was; in this one `retries`
        decides.

        Raises:
            KeyboardInterrupt: Ctrl-C, or the sweep was cancelled; after asking this driver's
                workers to stop, if no queue outlives it.
            UserError: the queue refuses the jobs.
            OSError: the results folder cannot be written, or was deleted; workers that no queue
                looks after are asked to stop if it was.
        """
        folder, first = self.folder, True
        mark = CancelMark(folder, self.since)
        self.judged = {s.run.run_id: _failed_at(s) for s in self.survey.poll(settle=True)}
        try:
            while True:
                with turn(folder, holder=self.executor.name, first=first) as ours:
                    statuses, pause = self._one_turn(mark, ours)
                first = False
                self.watch(statuses)
                if all(s.finished or s.run.run_id in self.given_up for s in statuses):
                    return statuses
                time.sleep(pause)
        except (KeyboardInterrupt, OSError) as stopped:
            # Workers whose results folder is gone could only train in vain.
            in_vain = isinstance(stopped, OSError) and is_deleted(folder)
            if not self.executor.queues and (in_vain or isinstance(stopped, KeyboardInterrupt)):
                stop_jobs(self.own)
            raise

    def _one_turn(self, mark: CancelMark, ours: bool) -> tuple[list[RunStatus], float]:
        """Look after all runs; if it is this driver's turn, judge and submit.

        Returns:
            How the runs stand, and the seconds until the next look. Only looking counts for them:
            submitting may take minutes, and must not be followed by longer deafness.
        """
        if mark.is_set():
            raise KeyboardInterrupt
        began = time.monotonic()
        statuses = self.survey.poll()
        pause = max(POLL_SECONDS, (time.monotonic() - began) / MAX_POLLING_SHARE)
        if ours:
            self._lay_out_again(statuses)
            # Their driver died before it noted them, or sbatch did not say that it took them.
            for job in self.survey.unnoted:
                job.note()
            statuses = [self._judge(status) for status in statuses]
            self._submit_or_wait(statuses)
            if mark.is_set():
                stop_jobs(self.own)
                raise KeyboardInterrupt
        return statuses, pause

    def _lay_out_again(self, statuses: list[RunStatus]) -> None:
        """Make the folders of runs again that somebody deleted, under a living worker perhaps."""
        for s in statuses:
            is_ours = not s.finished and s.run.run_id not in self.given_up
            if is_ours and not folder_of(s.run, self.survey.results).has_work_order():
                if is_deleted(self.folder):
                    # Laid out again, it would lack the code and the corpus.
                    raise FileNotFoundError(errno.ENOENT, "deleted in mid-sweep", self.folder)
                self.lay_out(s.run)

    def _judge(self, status: RunStatus) -> RunStatus:
        """Look after a run whose job may have ended, and count its failures."""
        folder = folder_of(status.run, self.survey.results)
        if status.live:
            self._watch_live(status, folder)
            return status
        watched = self.watched.pop(status.run.run_id, None)
        if status.finished:
            return status
        is_new = _failed_at(status) not in (None, self.judged.get(status.run.run_id))
        if is_new:
            status = self._as_its_queue_ended_it(status, folder)
        elif watched is not None:
            status = self._vanished(status, folder, watched)
        else:
            return status
        self._count_failure(status, folder, watched)
        return status

    def _watch_live(self, status: RunStatus, folder: RunFolder) -> None:
        """Note since when a job runs, and from which checkpoint it began."""
        watched = self.watched.setdefault(status.run.run_id, _Watched(folder.checkpoint_step()))
        if status.state != "running":
            watched.running_since = None
        elif watched.running_since is None:
            watched.running_since = time.monotonic()

    @staticmethod
    def _as_its_queue_ended_it(status: RunStatus, folder: RunFolder) -> RunStatus:
        """Return a preempted run as cancelled if its queue reports that somebody cancelled it.

        A worker cannot know: preemption and cancellation send the same signal.
        """
        assert status.failure
        is_preempted = status.failure["kind"] == FailureKind.PREEMPTED
        if not is_preempted or failure_of(status.job) != FailureKind.CANCELLED:
            return status
        folder.write_failure(FailureKind.CANCELLED, "cancelled in its queue")
        return replace(status, state="failed", failure=folder.failure())

    def _count_failure(
        self, status: RunStatus, folder: RunFolder, watched: _Watched | None
    ) -> None:
        """Count a failure of this sweep, and give the run up if that was once too often."""
        assert status.failure
        run_id, kind = status.run.run_id, status.failure["kind"]
        self.judged[run_id] = _failed_at(status)
        self.tries[run_id, kind] += 1
        # A time-out without a later checkpoint than the job began with would only repeat itself.
        stuck = (
            kind == FailureKind.TIMED_OUT
            and watched is not None
            and folder.checkpoint_step() <= watched.step
        )
        if stuck or self.tries[run_id, kind] > tries_allowed(self.retries.model_dump(), kind):
            self.given_up.add(run_id)
            self.gave_up(status)

    def _vanished(self, status: RunStatus, folder: RunFolder, watched: _Watched) -> RunStatus:
        """Note the failure of a worker that could not: killed, or its node with it."""
        lasted = time.monotonic() - (watched.running_since or time.monotonic())
        if (kind := failure_of(status.job)) is not None:
            folder.write_failure(kind, f"ended by its queue: {kind}")
        elif lasted > 60 * self.timeout_minutes - SIGNAL_SECONDS:
            folder.write_failure(
                FailureKind.TIMED_OUT,
                f"stopped at launch.timeout_minutes = {self.timeout_minutes:g}",
            )
        elif speaks_of_memory("\n".join(folder.last_lines())):
            folder.write_failure(FailureKind.OUT_OF_MEMORY, "the worker died for want of memory")
        else:
            times = self.tries[status.run.run_id, FailureKind.NODE] + 1
            folder.write_failure(
                FailureKind.NODE,
                "the worker vanished without a word" + f" {times} times" * (times > 1),
            )
        return replace(status, state="failed", failure=folder.failure())

    def _submit_or_wait(self, statuses: list[RunStatus]) -> None:
        """Submit what there is room for; in mid-sweep, a queue that refuses is asked again later.

        Raises:
            Refused: the queue refuses the first jobs, or has refused for an hour.
        """
        now, first, self._first = time.monotonic(), self._first, False
        if now < self._refused_until:
            return
        try:
            self._submit(statuses)
            self._refused_since = None
        except Refused as error:
            if first or now - (self._refused_since or now) > MAX_REFUSED_SECONDS:
                raise
            if self._refused_since is None:
                self._refused_since = now
                said = f"{error}; tried again every {RETRY_SECONDS} s, other runs go on"
                print(said, file=sys.stderr, flush=True)
            self._refused_until = now + RETRY_SECONDS

    def _submit(self, statuses: list[RunStatus]) -> None:
        """Submit as many runs as there is room for, and note their jobs."""
        free = [
            s.run for s in statuses if not (s.finished or s.live or s.run.run_id in self.given_up)
        ]
        free.sort(key=lambda run: run.place)
        if not self.executor.queues:
            free = free[: max(0, self.parallel - sum(s.live for s in statuses))]
        folders = [folder_of(run, self.survey.results) for run in free]
        # One by one if that costs nothing: a driver that is stopped in between leaves no job
        # without its note.
        batches = [[folder] for folder in folders]
        if self.executor.queues and folders:
            batches = [folders]
        for batch in batches:
            steps = [folder.checkpoint_step() for folder in batch]
            jobs = self.executor.submit([folder.path for folder in batch])
            for job, step in zip(jobs, steps, strict=True):
                job.note()
                self.own.append(job)
                self.watched[job.folder.name] = _Watched(
                    step, None if self.executor.queues else time.monotonic()
                )


def _failed_at(status: RunStatus) -> str | None:
    return status.failure.get("at") if status.failure else None
