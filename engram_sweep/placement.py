"""How one run lies on its processes: copies, cuts, and what of a step exists at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Placement:
    """How one run lies on its processes; no part of its identity.

    Raises:
        ValueError: a number is below what it can be.

    Example:
        `Placement(replicas=4, shards=8)` for four nodes of eight GPUs: a copy of the weights on
        each node, an eighth of it on each GPU.
    """

    replicas: int = 1
    """Groups of processes that hold one copy of the weights each."""
    shards: int = 1
    """Processes that a copy is cut over; replicas x shards are the processes of the run."""
    micro_windows: int = 0
    """Windows per process and micro-batch; 0 takes all of the step at once."""
    recompute: bool = False
    """Compute the inside of each block again in the backward pass (activation checkpointing)."""
    loss_chunk: int = 0
    """Tokens whose logits exist at once; 0 for all."""
    tables: Literal["device", "host"] = "device"
    """Where the owner of n-gram rows keeps them and their optimizer states."""

    def __post_init__(self) -> None:
        for name, least in (
            ("replicas", 1),
            ("shards", 1),
            ("micro_windows", 0),
            ("loss_chunk", 0),
        ):
            if (found := getattr(self, name)) < least:
                raise ValueError(f"placement: {name}: expected {least} or more, got {found}")

    @property
    def processes(self) -> int:
        """Processes of the run."""
        return self.replicas * self.shards
