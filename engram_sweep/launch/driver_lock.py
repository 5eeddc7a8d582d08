"""One driver at a time submits and cancels runs of a sweep; a cancellation reaches all of them."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from engram_sweep.atomic_files import read_fields, write_json
from engram_sweep.launch.jobs import now

CANCEL_FILE = "cancelled.json"


@contextmanager
def turn(folder: Path, timeout: float = 0) -> Iterator[bool]:
    """Hold the lock of a sweep's drivers, if it is free: its holder submits and cancels runs.

    The kernel releases it however its holder dies. Yields whether this process holds it.

    Args:
        folder: `<results>/<scale>`.
        timeout: seconds to wait for it.
    """
    handle = os.open(folder / "driver.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        yield _locked(handle, time.monotonic() + timeout)
    finally:
        os.close(handle)


def _locked(handle: int, deadline: float) -> bool:
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if time.monotonic() >= deadline:
                return False
            time.sleep(0.05)


def last_cancel(folder: Path) -> str | None:
    """Return when a sweep was last cancelled; a driver that sees this change ends.

    Args:
        folder: `<results>/<scale>`.
    """
    return (read_fields(folder / CANCEL_FILE, at=str) or {}).get("at")


def mark_cancelled(folder: Path) -> None:
    """Note that a sweep is cancelled now.

    Raises:
        OSError: the folder cannot be written.
    """
    write_json(folder / CANCEL_FILE, {"at": now()})
