"""How an attempt at a run can end badly: the kinds, and what is noted of each attempt."""

from __future__ import annotations

import errno
import re
import resource
from collections.abc import Mapping
from enum import StrEnum
from typing import NotRequired, TypedDict

_NO_MEMORY = re.compile(
    r"(cannot|can't|could not|failed to) allocate memory|out of memory|bad_alloc"
    r"|malloc of size \d+ failed|failed to map segment|can't start new thread",
    re.IGNORECASE,
)
_NO_PEER = re.compile(
    r"gloo|connection (was )?(closed|reset|refused)|socket (timeout|closed)|pair closure"
    r"|broken pipe|NCCL",
    re.IGNORECASE,
)
_SILENT_PEER = re.compile("timed out|timeout", re.IGNORECASE)


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
    """The worker vanished or one of its peers did, or its disk failed."""
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
    # Libraries raise what they like if they get no memory; some only say so.
    if getattr(error, "errno", None) == errno.ENOMEM or speaks_of_memory(str(error)):
        return FailureKind.OUT_OF_MEMORY
    if isinstance(error, SystemError) and _has_memory_limit():
        # An extension module that got no memory and did not say so.
        return FailureKind.OUT_OF_MEMORY
    if isinstance(error, OSError) or lost_peer(error) is not None:
        return FailureKind.NODE
    return FailureKind.BAD_DATA if isinstance(error, ValueError) else FailureKind.BUG


def lost_peer(error: BaseException) -> str | None:
    """Return what became of another process of the run, if that is why this one failed, else None.

    Example:
        For `RuntimeError("[gloo/transport/tcp/pair.cc:547] Connection closed by peer")` it is
        "another process of the run is gone".
    """
    # torch's own exceptions by name, as above; over gloo it raises no more than a RuntimeError.
    named = type(error).__name__ in ("DistBackendError", "DistNetworkError", "DistStoreError")
    text = str(error)
    if not named and not (isinstance(error, RuntimeError) and _NO_PEER.search(text)):
        return None
    if _SILENT_PEER.search(text):
        return "another process of the run did not answer in time"
    return "another process of the run is gone"


def speaks_of_memory(text: str) -> bool:
    """Return whether a message or a log says that there was no memory left.

    Example:
        `speaks_of_memory("libtorch.so: failed to map segment from shared object")` is True.
    """
    return _NO_MEMORY.search(text) is not None


def _has_memory_limit() -> bool:
    return resource.getrlimit(resource.RLIMIT_AS)[0] != resource.RLIM_INFINITY


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
