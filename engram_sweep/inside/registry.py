"""All measures, by name. Light: their modules load torch, which takes seconds."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from engram_sweep.inside.measure import Measure

SUMMARIES = {
    "strata": "split the validation loss by how often training has shown the n-gram at hand",
}
"""One line for `--help` of each measure; `engram_sweep.inside.<name>.MEASURE` is the measure."""


def measure_of(name: str) -> Measure:
    """Return a measure.

    Args:
        name: one of `SUMMARIES`; a hyphen stands for the underscore of its module.
    """
    module = import_module(f"engram_sweep.inside.{name.replace('-', '_')}")
    return module.MEASURE
