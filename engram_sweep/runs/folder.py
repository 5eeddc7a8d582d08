"""The folder of one run: what is asked, who is at it, how far it is, how it ended.

results/<scale>/runs/<run_id>/
run.json         the spec and its labels, written by the driver
lock             held (flock) by the one worker that trains it; the kernel releases it on any death
progress.json    step, loss and speed, rewritten about a hundred times
job.json         the job last submitted for it (engram_sweep.launch.jobs)
attempts.json    when and where each attempt started, how long it took, how it ended
failure.json     kind and last log lines of the last failed attempt
checkpoints/     the newest two, until the run is done
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

from engram_sweep.atomic_files import read_json, write_json
from engram_sweep.runs.failures import Attempt, Failure, FailureKind
from engram_sweep.runs.records import FILE_NAME, is_done
from engram_sweep.runs.work_order import WorkOrder, read_work_order


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
            OSError: it cannot be written.
        """
        self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
        order.write(self.path)

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
        handle = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT, 0o600)
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
            handle = os.open(self.path / "lock", os.O_RDWR)
        except (FileNotFoundError, NotADirectoryError):
            return False
        try:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
            return False
        except BlockingIOError:
            return True
        finally:
            os.close(handle)

    def progress(self) -> dict[str, Any]:
        """Step, steps, train_loss, tokens_per_second; empty if nothing is known."""
        return read_json(self.path / "progress.json") or {}

    def write_progress(self, progress: dict[str, Any]) -> None:
        """Note where the run stands. Best effort: a full disk loses this update, not the run."""
        with suppress(OSError):
            write_json(self.path / "progress.json", progress)

    @property
    def checkpoints(self) -> Path:
        """Where the run's checkpoints lie, while it is not done."""
        return self.path / "checkpoints"

    def attempts(self) -> list[Attempt]:
        """Return every attempt, the first one first."""
        return read_json(self.path / "attempts.json") or []

    def failure(self) -> Failure | None:
        """Return the failure of the last attempt, None if it did not fail."""
        return read_json(self.path / "failure.json")

    def write_failure(self, kind: str, message: str) -> None:
        """Note how an attempt failed, with the last lines of the worker's output."""
        failure = Failure(
            kind=kind, message=message, log=self.last_lines(), at=datetime.now(UTC).isoformat()
        )
        write_json(self.path / "failure.json", failure)

    def checkpoint_step(self) -> int:
        """Optimizer steps that the newest checkpoint holds, by its name; 0 if there is none."""
        steps = (path.name.split("-")[1] for path in self.path.glob("checkpoints/step-*-*.pt"))
        return max((int(step) for step in steps if step.isdigit()), default=0)

    def start_attempt(self) -> None:
        """Note a new attempt and forget the last one's failure.

        An attempt before it that nobody ended was killed; its last progress update gives its
        duration.
        """
        attempts = self.attempts()
        if attempts and attempts[-1]["ended"] is None:
            started = datetime.fromisoformat(attempts[-1]["started_at"]).timestamp()
            progress = self.path / "progress.json"
            last = progress.stat().st_mtime if progress.exists() else started
            attempts[-1].update(ended=FailureKind.NODE, seconds=max(0.0, last - started))
        now = datetime.now(UTC).isoformat()
        attempts.append(Attempt(started_at=now, host=platform.node(), seconds=None, ended=None))
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
        attempts[-1].update(ended=ended, seconds=seconds, step=step)
        write_json(self.path / "attempts.json", attempts)

    def last_lines(self, count: int = 8) -> list[str]:
        """Return the end of the newest worker output."""
        # Links of a job that waits lead nowhere yet.
        there = [path for path in self.path.glob("job/*_log.err") if path.exists()]
        logs = sorted(there, key=lambda path: path.stat().st_mtime)
        if not logs:
            return []
        with logs[-1].open("rb") as file:
            file.seek(max(0, logs[-1].stat().st_size - 8192))
            return file.read().decode("utf8", errors="replace").splitlines()[-count:]
