"""Ask SLURM how jobs stand, and stop them, with clients that every cluster has: squeue, scancel.

Accounting (sacct) is off on many clusters. squeue knows waiting and running jobs, and ended ones
for some minutes; a job that it does not know has ended, if it says so twice.
"""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import xxhash

from engram_sweep.atomic_files import read_json
from engram_sweep.errors import UserError, printable
from engram_sweep.launch.executors.slurm_clients import TIMEOUT_SECONDS, client
from engram_sweep.launch.jobs import Job, State
from engram_sweep.runs.failures import FailureKind

MAX_POLL_SECONDS = 30
"""Longest interval between squeue calls. It grows from 1 s with the time since start."""
CONFIRM_SECONDS = 3
"""A job has ended unseen if two answers, so far apart, do not know it: one may be a hiccup."""
MIN_SILENT_SECONDS = 10
"""Shortest interval while SLURM does not answer."""
MAX_IDS_PER_CALL = 500
"""Job ids on one command line."""
RUNS_FILE = "runs.json"
"""Beside an array's script: the runs that its tasks train, in their order."""

_ID = re.compile(r"[0-9]+(_[0-9]+)?")
"""A job id of SLURM, e.g. 17 or 17_3. Anything else in a note could be an option to scancel."""
_LINE = re.compile(r"(?P<id>[0-9]+(_[0-9]+)?) (?P<state>[A-Z_]+)( (?P<tag>\S+) ?(?P<reason>.*))?")
_RUN = re.compile(r"[0-9a-f]{32}")
_TAG = re.compile(r"engram-sweep:(?P<home>[0-9a-f]{16}):(?P<array>[\w-]+)")
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
_ORDINARY = {
    "Priority": "others come first",
    "Resources": "no free nodes yet",
    "Dependency": "an array of this sweep has to end first",
    "JobArrayTaskLimit": "as many run side by side as launch.parallel allows",
}
"""Reasons to wait that need nobody's attention, in words; others are SLURM's own words."""


@dataclass(frozen=True)
class _Seen:
    """What one line of squeue says of a job."""

    state: str
    tag: str
    reason: str


class Squeue:
    """squeue's last answer about a user's jobs. It serves all questions for some seconds."""

    def __init__(self) -> None:
        self._answer: dict[str, _Seen] = {}
        self._answered_at = ""
        self._asked = -float("inf")
        self._started = self._answered = time.monotonic()
        self._silent = False
        self._users = {os.geteuid()}
        self._missing: dict[str, float] = {}
        """When jobs that were asked for were first missing from an answer (s, monotonic)."""

    def states(self, jobs: Sequence[Job]) -> list[State]:
        """Return how each job stands; `unknown` if squeue has not answered since its submission.

        A controller that restarts has ended no job: while squeue fails, every state is unknown.
        So is that of a job which is missing from one answer only.

        Raises:
            UserError: it has failed for an hour.
        """
        if jobs:
            self._ask(_owners(jobs), any(job.id in self._missing for job in jobs))
        return [self._state(job) for job in jobs]

    @property
    def answering(self) -> bool:
        """Whether the last call of squeue was answered."""
        return bool(self._answered_at)

    def jobs_of(self, home: Path, array: str | None = None) -> list[Job]:
        """Return the jobs of a sweep that squeue knows and that have not ended, noted or not.

        They are known by their tag: a note is written after the submission, and not if the
        driver dies in between, or if sbatch does not say that it succeeded.

        Args:
            home: `<results>/<scale>`.
            array: name of one array's folder in its `jobs/`; all arrays if left out.
        """
        # What was never submitted to SLURM is not asked about: there may be none here.
        if not any((home / "jobs").glob(f"*/{RUNS_FILE}")):
            return []
        self._ask(set(), False)
        found, wanted = [], digest_of(home)
        arrays: dict[str, list[str]] = {}
        for number, seen in self._answer.items():
            tag = _TAG.fullmatch(seen.tag)
            if tag is None or tag["home"] != wanted or seen.state in _ENDED:
                continue
            if array not in (None, tag["array"]):
                continue
            runs = arrays.get(tag["array"])
            if runs is None:
                runs = arrays[tag["array"]] = _runs_of(home / "jobs" / tag["array"])
            if (task := int(number.partition("_")[2] or 0)) < len(runs):
                found.append(Job(home / "runs" / runs[task], "slurm", number, self._answered_at))
        return found

    def failure_of(self, job: Job) -> str | None:
        """Return the kind of failure with which SLURM itself ended a job, None if unknown."""
        seen = self._answer.get(job.id)
        return _ENDED.get(seen.state) if seen else None

    def reason_of(self, job: Job) -> str | None:
        """Return why SLURM lets a job wait, e.g. PartitionTimeLimit; None if it does not say."""
        seen = self._answer.get(job.id)
        if seen is None or seen.state not in _QUEUED or seen.reason in ("", "None"):
            return None
        words = _ORDINARY.get(seen.reason)
        return f"{seen.reason} ({words})" if words else seen.reason

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
        self.forget()

    def forget(self) -> None:
        """Ask again at the next question, however soon it comes."""
        self._asked = -float("inf")

    def _ask(self, owners: set[int], confirm: bool) -> None:
        clock, at = time.monotonic(), datetime.now(UTC).isoformat()
        pause = min(MAX_POLL_SECONDS, max(1.0, (clock - self._started) / 20))
        pause = min(pause, CONFIRM_SECONDS) if confirm else pause
        # A client that hangs would take all the time there is.
        pause = max(pause, MIN_SILENT_SECONDS) if self._silent else pause
        if clock - self._asked < pause and owners <= self._users:
            return
        self._asked, self._users = clock, self._users | owners
        lines = client(
            "squeue",
            # By number: names come from LOGNAME, which may be another user's.
            f"--user={','.join(map(str, sorted(self._users)))}",
            "--array",
            "--states=all",
            "--noheader",
            "--format=%i %T %k %r",
        )
        if lines is None:
            self._not_answered(clock)
            return
        if self._silent:
            print("SLURM answers again", file=sys.stderr, flush=True)
        self._silent = False
        self._answered, self._answered_at = clock, at
        # Banners of wrappers and other lines are passed over.
        self._answer = {
            found["id"]: _Seen(found["state"], found["tag"] or "", printable(found["reason"] or ""))
            for found in map(_LINE.fullmatch, lines.splitlines())
            if found
        }

    def _not_answered(self, clock: float) -> None:
        self._answered_at = ""
        if not self._silent:
            self._silent = True
            print(
                "SLURM does not answer (squeue); jobs go on, what is shown of them is from files",
                file=sys.stderr,
                flush=True,
            )
        if clock - self._answered > TIMEOUT_SECONDS:
            raise UserError(
                f"SLURM has not answered for {TIMEOUT_SECONDS // 60} minutes; jobs go on without "
                "this command, and the same command goes on from here"
            )

    def _state(self, job: Job) -> State:
        if not _ID.fullmatch(job.id):
            return "ended"
        seen = self._answer.get(job.id)
        if not self._answered_at:
            return "unknown"
        if seen is not None:
            self._missing.pop(job.id, None)
            if seen.state in _ENDED:
                return "ended"
            return "queued" if seen.state in _QUEUED else "running"
        # What it does not know has ended, unless it was asked before the job was submitted.
        now = datetime.now(UTC).isoformat()
        if self._answered_at <= job.submitted_at <= now:
            return "unknown"
        first = self._missing.setdefault(job.id, self._answered)
        return "ended" if self._answered - first >= CONFIRM_SECONDS else "unknown"


QUEUE = Squeue()
"""The process-wide client; all callers share its cached answer."""


def comment(home: Path, array: str) -> str:
    """Return the comment with which an array is submitted, to find its jobs by.

    Args:
        home: `<results>/<scale>`.
        array: name of the array's folder in its `jobs/`.
    """
    return f"engram-sweep:{digest_of(home)}:{array}"


def digest_of(home: Path) -> str:
    """xxh3_64 of the resolved path of `<results>/<scale>`."""
    return xxhash.xxh3_64_hexdigest(os.fsencode(home.resolve()))


def _runs_of(array: Path) -> list[str]:
    """Return the runs of an array's tasks, in their order; none if the file is none."""
    found = read_json(array / RUNS_FILE)
    names = found if isinstance(found, list) else []
    whole = all(isinstance(name, str) and _RUN.fullmatch(name) for name in names)
    return names if whole else []


def _owners(jobs: Sequence[Job]) -> set[int]:
    """Return the users whose jobs these are: a colleague looks at another's sweep."""
    owners = set()
    for job in jobs:
        with suppress(OSError):
            owners.add(job.folder.stat().st_uid)
    return owners
