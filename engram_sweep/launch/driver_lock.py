"""One driver at a time submits and cancels runs of a sweep; a cancellation reaches all of them."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from engram_sweep.atomic_files import open_lock, read_fields, read_plain, write_json
from engram_sweep.errors import UserError
from engram_sweep.launch.jobs import now

CANCEL_FILE = "cancelled.json"
LOCK_FILE = "driver.lock"


@contextmanager
def turn(folder: Path, timeout: float = 0, holder: str = "", first: bool = True) -> Iterator[bool]:
    """Hold the lock of a sweep's drivers, if it is free: its holder submits and cancels runs.

    The kernel releases it however its holder dies. Yields whether this process holds it.

    Args:
        folder: `<results>/<scale>`.
        timeout: seconds to wait for it.
        holder: name of the executor, for who waits.
        first: make the lock if there is none. A driver that had it before finds it, or somebody
            deleted the folder; a new lock there would let two drivers have their turns at once.

    Raises:
        UserError: the disk has no file locks.
        OSError: the folder cannot be written, or the lock is gone.
    """
    handle = open_lock(folder / LOCK_FILE, create=first)
    try:
        ours = _locked(handle, folder, time.monotonic() + timeout)
        if ours:
            os.ftruncate(handle, 0)
            os.pwrite(handle, holder.encode(), 0)
        yield ours
    finally:
        os.close(handle)


def holder_of(folder: Path) -> str:
    """Return the executor of the driver that has or had the last turn, as `turn` was given it."""
    try:
        return read_plain(folder / LOCK_FILE).decode(errors="replace")
    except OSError:
        return ""


def is_deleted(folder: Path) -> bool:
    """Return whether a sweep's folder, in which a driver had a turn, was deleted since then."""
    return not (folder / LOCK_FILE).exists()


def _locked(handle: int, folder: Path, deadline: float) -> bool:
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if time.monotonic() >= deadline:
                return False
            time.sleep(0.05)
        except OSError as error:
            raise UserError(
                f"{folder}: expected a disk with file locks (flock), which keep two drivers apart: "
                f"{error.strerror}"
            ) from None


class CancelMark:
    """Whether a sweep is cancelled, for a driver: since it was started, or first looked.

    Args:
        folder: `<results>/<scale>`.
        since: when the driver's command was started (ISO 8601, UTC); its imports take a while.
    """

    def __init__(self, folder: Path, since: str) -> None:
        self.folder, self.since = folder, since
        self._first = self._last()

    def is_set(self) -> bool:
        """Return whether `cancel` was called."""
        last = self._last()
        # A mark of tomorrow, from a clock that was wrong, must not stop every driver of today.
        return last is not None and (last != self._first or self.since < last <= now())

    def _last(self) -> str | None:
        return (read_fields(self.folder / CANCEL_FILE, at=str) or {}).get("at")


def process_started() -> str:
    """Return when this process was started (ISO 8601, UTC)."""
    ticks = int(read_plain(Path("/proc/self/stat")).rpartition(b") ")[2].split()[19])
    age = time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")
    return (datetime.now(UTC) - timedelta(seconds=age)).isoformat()


def mark_cancelled(folder: Path) -> None:
    """Note that a sweep is cancelled now.

    Raises:
        OSError: the folder cannot be written.
    """
    write_json(folder / CANCEL_FILE, {"at": now()})
