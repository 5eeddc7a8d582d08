"""What a measure is: the next one is a module that defines one, and a line in `registry.SUMMARIES`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pyarrow as pa

from engram_sweep.inside.trained import Trained


@dataclass(frozen=True)
class Measure:
    """A table that is made of one finished run and written beside its record."""

    name: str
    """Of its command, its make target and its files."""
    version: int
    """Rises if the columns or their meaning change: runs are then measured anew."""
    of_run: Callable[[Trained], pa.Table]
    """Return the table; it has no rows if there is nothing to measure (no memory, say)."""
