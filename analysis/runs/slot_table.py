"""The table of a sweep over table sizes (paper section 3.2), and what it must contain.

One backbone, and tables of growing size on top of it. `rows_per_head_asked` holds the size: rows of
every Engram head; other arms with a table get as many parameters (`sweep.rows_per_head`).
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.runs.table import has_loss, numbers, repeats_of, with_checked_columns
from engram_sweep.errors import UserError
from engram_sweep.planning.arms import ARMS, is_variant

ROWS = "rows_per_head_asked"
"""Column of the table size that was asked for."""
TABLE_ARMS = tuple(key for key, arm in ARMS.items() if arm.splits_budget)
"""Arms whose tables can be sized, Engram first."""


@dataclass(frozen=True)
class SlotRuns:
    """The runs of one sweep over table sizes, sorted into what each is for."""

    sized: pd.DataFrame
    """Finite runs with a table, sorted by arm, size and seed."""
    beside: pd.DataFrame
    """Finite runs of arms that have no table to size, such as pure MoE."""
    variants: pd.DataFrame
    """Finite runs of variants of the Engram module (`analysis.sweep.ablation`)."""
    failed: pd.DataFrame
    """Runs without a finite loss, any arm."""
    repeats: pd.DataFrame
    """Finite runs that `sized` or `beside` already contains from another batch."""
    source: str
    """Where the table came from, for messages."""


def has_table_sizes(table: pd.DataFrame) -> bool:
    """Return whether any run of a table was asked for a table size."""
    if ROWS not in table:
        return False
    asked = table[ROWS]
    if asked.dtype.kind not in "iuf":
        # What is no number counts as asked for too: what it is worth is said where it is read.
        return bool(asked.notna().any())
    return bool((asked > 0).any())


def check_slot_table(table: pd.DataFrame, source: str) -> SlotRuns:
    """Check a table of runs over table sizes and sort the runs.

    Args:
        table: one row per run, for which `has_table_sizes` holds.
        source: what to call the table in messages.

    Raises:
        UserError: a column holds something else, rho varies, a run with a table has no size, runs
            are duplicated, or no run with a table has a loss.
    """
    runs = with_checked_columns(table, source)
    runs[ROWS] = numbers(runs, ROWS, source)
    asked = runs[ROWS].dropna().to_numpy()
    bad = asked[~((asked >= 0) & (asked < np.inf) & (asked == asked.round()))]
    if len(bad):
        raise UserError(
            f"{source}: column '{ROWS}' holds {bad[0]:g}; expected a whole number of rows"
        )
    again = repeats_of(runs)
    repeats, runs = runs.loc[again], runs.loc[~again].reset_index(drop=True)

    # One backbone: tables that the experts paid for belong to a sweep over rho.
    sized = runs["arm"].isin(TABLE_ARMS)
    without = int((sized & ~(runs[ROWS] > 0)).sum())
    if without:
        raise UserError(
            f"{source}: {without} runs with tables have no {ROWS} and others do; expected a sweep "
            "over rho or one over table sizes"
        )
    shares = sorted(set(runs.loc[sized, "rho"]))
    if len(shares) > 1:
        raise UserError(
            f"{source}: rho varies beside {ROWS}; expected one, got "
            f"{', '.join(f'{rho:g}' for rho in shares)}"
        )
    variant = runs["arm"].map(is_variant).astype(bool)
    size = np.where(sized | variant, runs[ROWS], 0.0)
    twice = np.flatnonzero(runs.assign(size=size).duplicated(["arm", "size", "seed"]))
    if len(twice):
        row = runs.loc[twice[0]].to_dict()
        raise UserError(
            f"{source}: two runs of arm {row['arm']} at {size[twice[0]]:g} rows per head, seed "
            f"{row['seed']}; expected one each (one backbone, one length of training)"
        )

    finite = has_loss(runs)
    if not (sized & finite).any():
        raise UserError(
            f"{source}: all {int(sized.sum())} runs with a table failed or diverged; no loss to fit"
        )
    return SlotRuns(
        sized=runs.loc[sized & finite].sort_values(["arm", ROWS, "seed"], ignore_index=True),
        beside=runs.loc[~sized & ~variant & finite],
        variants=runs.loc[variant & finite],
        failed=runs.loc[~finite],
        repeats=repeats.loc[has_loss(repeats)],
        source=source,
    )
