"""How an attempt at a run can end badly: the kinds, and what is noted of each attempt."""

from __future__ import annotations

import errno
from collections.abc import Mapping
from enum import StrEnum
from typing import NotRequired, TypedDict


class FailureKind(StrEnum):
    """The kind of a failure. Its value is in files and in `--json`, e.g. "out of memory"."""

    OUT_OF_MEMORY = "out of memory"
    TIMED_OUT = "timed out"
    """Stopped at `launch.timeout_minutes`."""
    PREEMPTED = "preempted"
    """Asked to stop by the queue, with a checkpoint."""
    CANCELLED = "cancelled"
    """Stopped in its queue by a user."""
    BAD_DATA = "bad data"
    """The corpus or a file of the run is not what it should be."""
    NODE = "node"
    """The worker vanished, or its disk failed."""
    BUG = "bug"

    @property
    def yaml_key(self) -> str:
        """Its key under `launch.retries`, such as out_of_memory."""
        return self.value.replace(" ", "_")


class NodeError(OSError):
    """A node lacks what a run was given there."""


class Failure(TypedDict):
    """What `failure.json` holds of the last failed attempt."""

    kind: str
    """A `FailureKind`; a string, because another version may have written the file."""
    message: str
    log: list[str]
    """Last lines of the worker's output."""
    at: str
    """ISO 8601, UTC."""


class Attempt(TypedDict):
    """What `attempts.json` holds of one attempt."""

    started_at: str
    """ISO 8601, UTC."""
    host: str
    seconds: float | None
    """How long it took; None while it runs."""
    ended: str | None
    """A `FailureKind`, or `done`; None while it runs."""
    step: NotRequired[int]
    """Optimizer steps in the checkpoint from which the next attempt goes on."""


def kind_of(error: BaseException) -> FailureKind:
    """Class an exception of a worker.

    Example:
        `kind_of(OSError(28, "No space left on device"))` is `FailureKind.NODE`.
    """
    # torch names its own exception so on every device; importing torch to ask would take seconds.
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return FailureKind.OUT_OF_MEMORY
    if isinstance(error, OSError):
        no_memory = error.errno == errno.ENOMEM
        return FailureKind.OUT_OF_MEMORY if no_memory else FailureKind.NODE
    return FailureKind.BAD_DATA if isinstance(error, ValueError) else FailureKind.BUG


def tries_allowed(retries: Mapping[str, int], kind: str) -> int:
    """Return how often a run starts again after a failure; 0 for a kind that is not known.

    Args:
        retries: `launch.retries`, by YAML key.
        kind: the failure's kind as a run folder names it.
    """
    try:
        return retries.get(FailureKind(kind).yaml_key, 0)
    except ValueError:
        return 0
