"""What a measure is. The next one is a module here with a `MEASURE`, and a line in `SUMMARIES`.

Its columns and their version stand in `engram_sweep.runs.measure_schema`.

Light: the modules of measures load torch, which takes seconds.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from engram_sweep.inside.trained import Trained

SUMMARIES = {
    "strata": "split the validation loss by how often training has shown the n-gram at hand",
    "suppress": "skip, shuffle or average what the memory looks up, and train on without it",
    "gates": "how far the memory's gates open, by stratum and against what it gains",
    "hot-rows": "how many look-ups a cache of the most frequent table rows would serve",
    "depth": "how far each block's reading is from the final prediction (LogitLens)",
    "cka": "which layers of pure MoE the layers of a hybrid are like (unbiased linear CKA)",
    "retrieval": "find needles and follow variable chains inside the window, by distance",
    "eval": "answer the questions of public tasks, offline: bits per byte and accuracy",
}
"""One line for `--help` of each measure; `engram_sweep.inside.<name>.MEASURE` is the measure."""
REFUSING = ("eval", "retrieval")
"""Measures that may be `hopeless`; their commands have --anyway."""


@dataclass(frozen=True)
class Measure:
    """A table that is made of one finished run and written beside its record."""

    name: str
    """Of its command, its make target and its files."""
    of_run: Callable[[Trained], pa.Table]
    """Return the table; it has no rows if there is nothing to measure (no memory, say)."""
    hopeless: Callable[[pd.DataFrame], str | None] | None = None
    """From the records of a sweep, return why measuring it can show nothing; None if it may."""


def measure_of(name: str) -> Measure:
    """Return a measure.

    Args:
        name: one of `SUMMARIES`; a hyphen stands for the underscore of its module.
    """
    return import_module(f"engram_sweep.inside.{name.replace('-', '_')}").MEASURE
