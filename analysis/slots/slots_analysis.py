"""The whole analysis of a sweep over table sizes in one call (paper section 3.2, Fig. 3 right)."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.curve.bootstrap import DRAWS, draw_errors, percentile_interval
from analysis.curve.means import RhoMeans, rho_means
from analysis.curve.readings import Interval
from analysis.runs.slot_table import ROWS, TABLE_ARMS, SlotRuns, check_slot_table
from analysis.slots.line_test import LineTest, judge_line
from analysis.slots.paired_gains import PairedGains, paired_gains
from analysis.sweep.sweep_analysis import BOOTSTRAP_SEED, LEVEL
from analysis.threads import one_thread
from engram_sweep.planning.arms import MOE

TOUCHED = ("table_rows", "rows_touched")
"""Columns of a record: rows that there are, and those that training looked up."""


@dataclass(frozen=True)
class TouchedRows:
    """How much of its tables an arm ever looked up, mean over runs."""

    table_rows: np.ndarray
    """Rows of all tables at each size, shape (I,)."""
    touched: np.ndarray
    """Those that training looked up at least once, shape (I,)."""

    @property
    def share(self) -> np.ndarray:
        """Share of the rows, shape (I,)."""
        return self.touched / self.table_rows


@dataclass(frozen=True)
class ArmOverSizes:
    """One arm along its table sizes; losses are in nats/token."""

    arm: str
    """Its key."""
    rows: np.ndarray
    """Table sizes M that were asked for, rows per head of Engram, ascending, shape (I,)."""
    means: RhoMeans
    """Mean losses at these sizes, which stand in the place of rho."""
    slope: Interval
    """Change of the loss per doubling of M, least squares over all sizes; None with one size.

    The mean slope over this range, whether a line holds or not.
    """
    line: LineTest | None
    """Whether a line holds; None with too few sizes or one seed."""
    over_moe: PairedGains | None
    """Gain over the backbone without a table; None without runs of it."""
    touched: TouchedRows | None
    """Rows ever looked up; None if the records do not say."""


@dataclass(frozen=True)
class SlotsAnalysis:
    """What one sweep over table sizes shows."""

    runs: SlotRuns
    """The checked runs."""
    arms: tuple[ArmOverSizes, ...]
    """Every arm with a table, Engram first."""
    paired: tuple[PairedGains, ...]
    """The first arm over each of the others, at equal sizes."""
    level: float
    """Nominal coverage of every interval."""


@one_thread
def analyse_slots(
    table: pd.DataFrame, source: str = "table", level: float = LEVEL, draws: int = DRAWS
) -> SlotsAnalysis:
    """Analyse a table of runs over table sizes.

    Args:
        table: one row per run (columns: `analysis.runs.slot_table`).
        source: what to call the table in messages.
        level: nominal coverage of every interval, between 0 and 1.
        draws: bootstrap draws.

    Raises:
        UserError: the table cannot be analysed; one line gives the reason.
    """
    runs = check_slot_table(table, source)
    losses = {arm: _by_size(runs.sized.loc[runs.sized["arm"] == arm]) for arm in TABLE_ARMS}
    there = [arm for arm in TABLE_ARMS if len(losses[arm])]
    moe = runs.beside.loc[runs.beside["arm"] == MOE.key]
    backbone = pd.Series(moe["validation_loss"].to_numpy(float), index=moe["seed"].to_numpy())
    arms = []
    for arm in there:
        of_arm = runs.sized.loc[runs.sized["arm"] == arm].reset_index(drop=True)
        over_moe = paired_gains(arm, MOE.key, losses[arm], backbone, level)
        arms.append(_along_sizes(arm, of_arm, over_moe, level, draws))
    first, *others = there
    pairs = [paired_gains(first, other, losses[first], losses[other], level) for other in others]
    return SlotsAnalysis(runs, tuple(arms), tuple(pair for pair in pairs if pair), level)


def _along_sizes(
    arm: str, runs: pd.DataFrame, over_moe: PairedGains | None, level: float, draws: int
) -> ArmOverSizes:
    """Analyse one arm by itself."""
    means = rho_means(runs.assign(rho=runs[ROWS].astype(float)))
    rows = means.rho
    errors = np.empty((len(rows), 0))
    if means.dof >= 1:
        errors = draw_errors(means, draws, np.random.default_rng(BOOTSTRAP_SEED))
    slope = Interval(None, None, None)
    if len(rows) > 1:
        centred = np.log2(rows) - np.log2(rows).mean()
        weights = centred / (centred @ centred)
        estimate = float(weights @ means.loss)
        slope = percentile_interval(estimate, estimate + weights @ errors, level)
    return ArmOverSizes(
        arm=arm,
        rows=rows,
        means=means,
        slope=slope,
        line=judge_line(rows, means, errors, level),
        over_moe=over_moe,
        touched=_touched(runs),
    )


def _by_size(runs: pd.DataFrame) -> pd.DataFrame:
    """Return the losses of one arm, sizes (ascending) x seeds; NaN without a run."""
    return runs.pivot(index=ROWS, columns="seed", values="validation_loss")


def _touched(runs: pd.DataFrame) -> TouchedRows | None:
    """Return the rows that training looked up at each size, mean over its runs."""
    if any(name not in runs or any(runs[name].isna()) for name in TOUCHED):
        return None
    rows, at = np.unique(runs[ROWS].to_numpy(float), return_inverse=True)
    means = [
        np.bincount(at, [_total(one) for one in runs[name]]) / np.bincount(at, minlength=len(rows))
        for name in TOUCHED
    ]
    return TouchedRows(*means)


def _total(tables: list) -> int:
    """Return the sum over tables and orders."""
    return int(sum(int(np.sum(orders)) for orders in tables))
