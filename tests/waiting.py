"""Waiting for other processes, never for a time."""

from __future__ import annotations

import time
from collections.abc import Callable


def wait_for(what: Callable[[], object], seconds: float = 120, pause: float = 0.05) -> None:
    """Look at something every `pause` seconds until it is true; fail after `seconds`."""
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(pause)
