"""Ask SLURM how jobs stand, and stop them, with clients that every cluster has: squeue, scancel.

Accounting (sacct) is off on many clusters. squeue knows waiting and running jobs, and ended ones
for some minutes; a job that it does not know has ended.
"""

from __future__ import annotations

import getpass
import re
import subprocess
import time
from collections.abc import Sequence
from datetime import UTC, datetime

from engram_sweep.errors import UserError
from engram_sweep.launch.jobs import Job, State
from engram_sweep.runs.failures import FailureKind

CLIENT_SECONDS = 30
"""A client that says nothing for so long is stopped: one without its server may hang for ever."""
TIMEOUT_SECONDS = 3600
"""How long SLURM may be unreachable: longer than its controller takes to restart."""
MAX_POLL_SECONDS = 30
"""Longest interval between squeue calls. It grows from 1 s with the time since start."""
MAX_IDS_PER_CALL = 500
"""Job ids on one command line."""

_ID = re.compile(r"[0-9]+(_[0-9]+)?")
"""A job id of SLURM, e.g. 17 or 17_3. Anything else in a note could be an option to scancel."""
_QUEUED = frozenset(
    {"PENDING", "CONFIGURING", "REQUEUED", "REQUEUE_HOLD", "REQUEUE_FED", "SPECIAL_EXIT"}
)
_ENDED = {
    "BOOT_FAIL": FailureKind.NODE,
    "CANCELLED": FailureKind.CANCELLED,
    "COMPLETED": None,
    "DEADLINE": FailureKind.TIMED_OUT,
    "FAILED": None,
    "NODE_FAIL": FailureKind.NODE,
    "OUT_OF_MEMORY": FailureKind.OUT_OF_MEMORY,
    "PREEMPTED": FailureKind.PREEMPTED,
    "REVOKED": None,
    "TIMEOUT": FailureKind.TIMED_OUT,
}
"""The kind of failure that a final state of SLURM means; None if it means only an end."""


class Squeue:
    """squeue's last answer about this user's jobs. It serves all questions for some seconds."""

    def __init__(self) -> None:
        self._answer: dict[str, str] = {}
        self._answered_at = ""
        self._asked = -float("inf")
        self._started = self._answered = time.monotonic()

    def states(self, jobs: Sequence[Job]) -> list[State]:
        """Return how each job stands; `unknown` if squeue has not answered since its submission.

        A controller that restarts has ended no job: while squeue fails, every state is unknown.

        Raises:
            UserError: it has failed for an hour.
        """
        if jobs:
            self._ask()
        return [self._state(job) for job in jobs]

    def failure_of(self, job: Job) -> str | None:
        """Return the kind of failure with which SLURM itself ended a job, None if unknown."""
        return _ENDED.get(self._answer.get(job.id, ""))

    def cancel(self, jobs: Sequence[Job], force: bool = False) -> None:
        """Take jobs off the queue or stop them.

        Args:
            jobs: which; ended ones are passed over.
            force: kill at once, instead of SIGTERM and the cluster's own grace time.
        """
        known = [job.id for job in jobs if _ID.fullmatch(job.id)]
        for start in range(0, len(known), MAX_IDS_PER_CALL):
            ids = known[start : start + MAX_IDS_PER_CALL]
            client("scancel", "--quiet", *ids)
            if force:
                client("scancel", "--quiet", "--signal=KILL", "--full", *ids)
        self._asked = -float("inf")

    def _ask(self) -> None:
        clock, at = time.monotonic(), datetime.now(UTC).isoformat()
        if clock - self._asked < min(MAX_POLL_SECONDS, max(1.0, (clock - self._started) / 20)):
            return
        self._asked = clock
        lines = client(
            "squeue",
            f"--user={getpass.getuser()}",
            "--array",
            "--states=all",
            "--noheader",
            "--format=%i %T",
        )
        if lines is None:
            self._answered_at = ""
            if clock - self._answered > TIMEOUT_SECONDS:
                raise unreachable()
            return
        self._answered, self._answered_at = clock, at
        self._answer = dict(line.split(maxsplit=1) for line in lines.splitlines())

    def _state(self, job: Job) -> State:
        if not _ID.fullmatch(job.id):
            return "ended"
        word = self._answer.get(job.id)
        # What it does not know has ended, unless it was asked before the job was submitted, or did
        # not answer.
        if not self._answered_at or (word is None and job.submitted_at >= self._answered_at):
            return "unknown"
        if word is None or word in _ENDED:
            return "ended"
        return "queued" if word in _QUEUED else "running"


QUEUE = Squeue()
"""The process-wide client; all callers share its cached answer."""


def client(*words: str) -> str | None:
    """Return what a client of SLURM prints; None if it fails, hangs or is not there."""
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=CLIENT_SECONDS)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None


def unreachable() -> UserError:
    """Return the error for a SLURM that has not answered for long."""
    return UserError(
        f"SLURM has not answered for {TIMEOUT_SECONDS // 60} minutes; jobs go on without this "
        "command, and the same command goes on from here"
    )
