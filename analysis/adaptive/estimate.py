"""Where the optimum of the longest length is: by the laws, or by its own runs if none holds."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.curve.readings import Interval
from analysis.scaling.raw_laws import RawLaws
from analysis.sweep.sweep_analysis import SweepAnalysis, analyse_sweep
from engram_sweep.errors import UserError
from engram_sweep.planning.adaptive import Design, Finished
from engram_sweep.planning.arms import ENGRAM, MOE

DRAWS_ALONE = 400
"""Bootstrap draws of the longest length by itself."""


@dataclass(frozen=True)
class Estimate:
    """What a look knows of rho* at the longest length."""

    rho_star: float
    """The estimate."""
    width: float
    """Of its interval."""
    source: str
    """What it comes from, in words."""


def estimate(
    design: Design, done: Sequence[Finished], laws: RawLaws | None, level: float
) -> Estimate | None:
    """Return what is known of rho* at the longest length; None if there are too few runs.

    Args:
        design: the candidates.
        done: runs with a loss.
        laws: fitted to them, if there were enough.
        level: nominal coverage of the interval.
    """
    if laws is not None and laws.in_play:
        there = laws.predict(float(np.log2(design.lengths[-1]))).rho_star
        return _estimate(there, "by the laws over all lengths")
    alone = longest_alone(design, done, level)
    if alone is None:
        return None
    return _estimate(alone.rho_star, "by the longest length alone, as every law is refuted")


def longest_alone(design: Design, done: Sequence[Finished], level: float) -> SweepAnalysis | None:
    """Return the analysis of the longest length by itself; None if it has too few runs."""
    runs = [(design.cells[run.cell], run) for run in done]
    rows = [
        {
            "arm": MOE.key if cell.rho == 1 else ENGRAM.key,
            "rho": cell.rho,
            "seed": run.seed,
            "validation_loss": run.loss,
        }
        for cell, run in runs
        if cell.length == design.lengths[-1]
    ]
    try:
        return analyse_sweep(pd.DataFrame(rows), "longest", level, draws=DRAWS_ALONE)
    except UserError:
        return None


def _estimate(interval: Interval, source: str) -> Estimate | None:
    if interval.value is None or interval.low is None or interval.high is None:
        return None
    return Estimate(interval.value, interval.high - interval.low, source)
