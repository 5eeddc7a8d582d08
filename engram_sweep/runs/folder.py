"""The folder of one run: what is asked, who is at it, how far it is, how it ended.

results/<scale>/runs/<run_id>/
run.json         the spec and its labels, written by the driver
lock             held (flock) by the one worker that trains it; the kernel releases it on any death
progress.json    step, loss and speed, rewritten about a hundred times
job.json         the job last submitted for it (engram_sweep.launch.jobs)
attempts.json    when and where each attempt started, how long it took, how it ended
failure.json     kind and last log lines of the last failed attempt
checkpoints/     the newest two, until the run is done
weights.safetensors   the final weights with their spec, if they are kept; training/weights.py
record.parquet   the result; the run is done when it validates
logs/            CSV and TensorBoard
job/             submitit's files of the last attempt and the worker's output
job.last/        those of the attempt before
"""

from __future__ import annotations

import fcntl
import os
import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from engram_sweep.atomic_files import (
    checked_fields,
    open_lock,
    read_fields,
    read_json,
    write_json,
)
from engram_sweep.errors import printable
from engram_sweep.own_folders import GROUP_SHOWN, PRIVATE, SHOWN, own_folder
from engram_sweep.runs.failures import Attempt, Failure, FailureKind
from engram_sweep.runs.records import FILE_NAME, is_done
from engram_sweep.runs.work_order import FILE_NAME as ORDER_NAME
from engram_sweep.runs.work_order import WorkOrder, read_work_order


def home_of(folder: Path) -> Path:
    """Return `<results>/<scale>` of a run folder."""
    return folder.absolute().parent.parent


class Busy(Exception):
    """Another worker holds the run."""


@dataclass(frozen=True)
class RunFolder:
    """Paths and facts of one run."""

    path: Path

    @property
    def run_id(self) -> str:
        """The run's identity is the folder's name."""
        return self.path.name

    @property
    def record(self) -> Path:
        """Where the record is or will be."""
        return self.path / FILE_NAME

    def is_done(self) -> bool:
        """Return whether a valid record of this run is there."""
        return is_done(self.path, self.run_id)

    def write_work_order(self, order: WorkOrder) -> None:
        """Create the folder, for this user only, and write what its worker is to do.

        Raises:
            UserError: the folder is there and belongs to someone else, or others may write to it.
            OSError: it cannot be written.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=SHOWN)
        own_folder(self.path, GROUP_SHOWN if order.group_readable else PRIVATE)
        order.write(self.path)

    def has_work_order(self) -> bool:
        """Return whether there is a file for it, whatever it holds."""
        return (self.path / ORDER_NAME).exists()

    def read_work_order(self) -> WorkOrder:
        """Read what the worker is to do.

        Raises:
            ValueError: there is no whole work order, or another version wrote it.
        """
        return read_work_order(self.path)

    @contextmanager
    def held(self, patience: float = 2.0) -> Iterator[None]:
        """Hold the run's lock.

        Args:
            patience: seconds to keep trying: whoever asks for the status touches the lock for a
                moment.

        Raises:
            Busy: another worker holds it.
        """
        handle = open_lock(self.path / "lock", 0o640)
        try:
            deadline = time.monotonic() + patience
            while True:
                try:
                    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > deadline:
                        raise Busy(self.run_id) from None
                    time.sleep(0.05)
            yield
        finally:
            os.close(handle)

    def is_held(self) -> bool:
        """Return whether a worker is at this run now."""
        try:
            # Not for writing: a colleague who may only read asks too.
            handle = os.open(self.path / "lock", os.O_RDONLY | os.O_NONBLOCK)
        except OSError:
            return False
        try:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
            return False
        except BlockingIOError:
            return True
        except OSError:
            # A disk without locks, on which no worker can hold one.
            return False
        finally:
            os.close(handle)

    def progress(self) -> dict[str, Any]:
        """Return step, train_loss, tokens_per_second, seconds of the attempt, as far as known."""
        read = read_json(self.path / "progress.json")
        found: dict[str, Any] = {}
        kinds = {"step": int, "train_loss": float, "tokens_per_second": float, "seconds": float}
        for name, kind in kinds.items():
            one = checked_fields(read, **{name: kind})
            if one is not None and one[name] >= 0:
                found[name] = one[name]
        return found

    def write_progress(self, progress: dict[str, Any]) -> None:
        """Note where the run stands. Best effort: a full disk loses this update, not the run."""
        with suppress(OSError):
            write_json(self.path / "progress.json", progress)

    @property
    def checkpoints(self) -> Path:
        """Where the run's checkpoints lie, while it is not done."""
        return self.path / "checkpoints"

    def attempts(self) -> list[Attempt]:
        """Return every attempt, the first one first; none if the file is not what it should be."""
        read = read_json(self.path / "attempts.json")
        found: list[Any] = read if isinstance(read, list) else []
        optional = type(None)
        kinds = {"started_at": str, "seconds": (float, optional), "ended": (str, optional)}
        whole = all(checked_fields(one, **kinds) and _time(one["started_at"]) for one in found)
        return found if whole else []

    def failure(self) -> Failure | None:
        """Return the failure of the last attempt, None if it did not fail.

        Its texts are fit for a terminal, whoever wrote them.
        """
        found = read_fields(self.path / "failure.json", kind=str, message=str, log=list, at=str)
        if found is None:
            return None
        return Failure(
            kind=printable(found["kind"]),
            message=printable(found["message"]),
            log=[printable(str(line)) for line in found["log"]],
            at=printable(found["at"]),
        )

    def write_failure(self, kind: str, message: str) -> None:
        """Note how an attempt failed, with the last lines of the worker's output."""
        failure = Failure(
            kind=kind, message=message, log=self.last_lines(), at=datetime.now(UTC).isoformat()
        )
        write_json(self.path / "failure.json", failure)

    def checkpoint_step(self) -> int:
        """Optimizer steps that the newest checkpoint holds, by its name; 0 if there is none."""
        steps = (path.name.split("-")[1] for path in self.path.glob("checkpoints/step-*-*"))
        return max((int(step) for step in steps if step.isascii() and step.isdigit()), default=0)

    def start_attempt(self) -> None:
        """Note a new attempt and forget the last one's failure.

        An attempt before it that nobody ended was killed; its last progress update gives its
        duration, as long as that has passed since it began: clocks jump, and files are edited.
        """
        attempts, now = self.attempts(), datetime.now(UTC)
        for attempt in attempts:
            started = _time(attempt["started_at"]) or now
            passed = max(0.0, (now - started).total_seconds())
            if attempt["ended"] is None:
                attempt["ended"] = FailureKind.NODE
                attempt["seconds"] = self.progress().get("seconds", 0.0)
            attempt["seconds"] = min(max(0.0, attempt["seconds"] or 0.0), passed)
        attempts.append(
            Attempt(started_at=now.isoformat(), host=platform.node(), seconds=None, ended=None)
        )
        write_json(self.path / "attempts.json", attempts)
        for name in ("failure.json", "progress.json"):
            (self.path / name).unlink(missing_ok=True)

    def end_attempt(self, ended: str, seconds: float, step: int) -> None:
        """Note how this attempt ended.

        Args:
            ended: a failure's kind, or `done`.
            seconds: how long it took.
            step: optimizer step that the next attempt starts from.
        """
        attempts = self.attempts()
        if not attempts:
            return
        attempts[-1].update(ended=ended, seconds=seconds, step=step)
        write_json(self.path / "attempts.json", attempts)

    def last_lines(self, count: int = 8) -> list[str]:
        """Return the end of the newest worker output."""
        # Links of a job that waits lead nowhere yet.
        there = [path for path in self.path.glob("job/*_log.err") if path.is_file()]
        logs = sorted(there, key=lambda path: path.stat().st_mtime)
        if not logs:
            return []
        with logs[-1].open("rb") as file:
            file.seek(max(0, logs[-1].stat().st_size - 8192))
            return file.read().decode("utf8", errors="replace").splitlines()[-count:]


def _time(text: str) -> datetime | None:
    """Return the time that ISO 8601 text with a zone names, else None."""
    try:
        found = datetime.fromisoformat(text)
        # Within a day of the first or the last year there is no such time in UTC.
        return found.astimezone(UTC) if found.tzinfo else None
    except (ValueError, OverflowError):
        return None
