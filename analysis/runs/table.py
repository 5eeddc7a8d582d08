"""The table of runs: what it must contain, what is set aside and why. Every refusal is one line.

One row per run, with `rho` (realised share of the sparse budget in experts), `seed` and
`validation_loss` (nats/token). Optional: `arm`, `scale`, `outcome`, `window_losses`,
`window_tokens`, `schema_version` and provenance. Nothing is dropped silently: runs without a loss
are kept in `failed`, and a run that was trained again elsewhere (the same `run_id` in another batch
of batches.batch_of) in `repeats`.
"""

from dataclasses import dataclass
from decimal import Decimal
from numbers import Real

import numpy as np
import pandas as pd

from analysis.levels import MAX_LOSS
from analysis.runs.batches import batch_of
from engram_sweep.errors import UserError, printable
from engram_sweep.planning.arms import ARMS, ENGRAM, curve_arms, is_variant
from engram_sweep.runs.table_files import NUMBERS

MIN_POINTS = 3
"""Values of rho that a curve needs."""
REQUIRED = ("rho", "seed", "validation_loss")
"""Columns that every table must have."""
MAX_EXACT = 2**53
"""Integers from here on are not told apart by floats."""
CURVE_ARMS = curve_arms()
"""Arms whose runs lie on the U-curve."""


@dataclass(frozen=True)
class SweepRuns:
    """The runs of one sweep, sorted into what each is for."""

    curve: pd.DataFrame
    """Finite runs along rho (arms of CURVE_ARMS), sorted by rho and seed."""
    arms: pd.DataFrame
    """Finite runs of the control arms."""
    variants: pd.DataFrame
    """Finite runs of variants of the Engram module (`analysis.sweep.ablation`)."""
    failed: pd.DataFrame
    """Runs without a finite loss, any arm."""
    repeats: pd.DataFrame
    """Finite runs that `curve` or `arms` already contains from another batch."""
    source: str
    """Where the table came from, for messages."""


def check_table(table: pd.DataFrame, source: str) -> SweepRuns:
    """Check a table of runs and sort the runs.

    Args:
        table: one row per run.
        source: what to call the table in messages (a file or a scale).

    Raises:
        UserError: a column is missing or holds something else, runs are duplicated, scales or
            schema versions are mixed, no run has a loss, or too few rho values have one.
    """
    # What the columns contain.
    runs = with_checked_columns(table, source)
    # A run that was trained again in another batch counts once; it is no duplicate.
    again = repeats_of(runs)
    repeats, runs = runs.loc[again], runs.loc[~again].reset_index(drop=True)
    on_curve, variant = runs["arm"].isin(CURVE_ARMS), runs["arm"].map(is_variant).astype(bool)
    _refuse_duplicates(runs, on_curve, source)
    # Whether enough is left for a curve.
    finite = has_loss(runs)
    curve = runs.loc[on_curve & finite].sort_values(["rho", "seed"], ignore_index=True)
    _refuse_too_few(curve, int(on_curve.sum()), source)
    return SweepRuns(
        curve=curve,
        arms=runs.loc[~on_curve & ~variant & finite],
        variants=runs.loc[variant & finite],
        failed=runs.loc[~finite],
        repeats=repeats.loc[has_loss(repeats)],
        source=source,
    )


def numbers(table: pd.DataFrame, column: str, source: str) -> pd.Series:
    """Return a column as floats; what is missing is NaN.

    Args:
        table: one row per run.
        column: name of the column.
        source: what to call the table in messages.

    Raises:
        UserError: the column holds something else: text, truth values, times, lists.
    """
    cells = table[column]
    # Numbers by their type need no look at every cell; bool is no number here.
    if cells.dtype.kind not in "iuf":
        for value in cells:
            known = isinstance(value, Real | Decimal) and not isinstance(value, bool | np.bool_)
            # Of a list, isna says whether each item is missing.
            if not known and pd.isna(value) is not True:
                shown = printable(repr(value))[:60]
                raise UserError(f"{source}: column '{column}' holds {shown}; expected a number")
    return pd.Series(pd.to_numeric(table[column], errors="coerce"), index=table.index, dtype=float)


def check_columns(table: pd.DataFrame, source: str) -> None:
    """Refuse columns of numbers that hold something else, and arms that there are not.

    Raises:
        UserError: one does.
    """
    for column in NUMBERS:
        if column in table:
            numbers(table, column, source)
    arms = set(map(str, table["arm"])) if "arm" in table else set()
    unknown = sorted(arm for arm in arms - set(ARMS) if not is_variant(arm))
    if unknown:
        raise UserError(
            f"{source}: column 'arm' holds '{printable(unknown[0])}'; expected one of "
            f"{', '.join(ARMS)}"
        )


def with_checked_columns(table: pd.DataFrame, source: str) -> pd.DataFrame:
    """Return a copy of the table with rho, seed, loss and arm of every run checked and converted.

    Raises:
        UserError: a column is missing or holds something else, or scales or schemas are mixed.
    """
    if not len(table):
        raise UserError(f"{source}: no finished runs; expected at least {MIN_POINTS} values of rho")
    for column in REQUIRED:
        if column not in table:
            got = ", ".join(map(str, list(table.columns)[:8]))
            raise UserError(
                f"{source}: column '{column}' is missing; expected {', '.join(REQUIRED)}, got {got}"
            )
    runs = table.reset_index(drop=True).copy()
    for column in ("scale", "schema_version"):
        values = sorted(set(runs[column].dropna())) if column in runs else []
        if len(values) > 1:
            mixed = ", ".join(map(str, values))
            raise UserError(f"{source}: column '{column}' mixes {mixed}; expected one")

    check_columns(runs, source)
    for column in ("rho", "validation_loss"):
        runs[column] = numbers(runs, column, source)
    runs["seed"] = _seeds(runs, source)
    if "arm" not in runs:
        runs["arm"] = ENGRAM.key
    # A control arm may have no rho, or one that means nothing.
    rho = runs["rho"].to_numpy()[runs["arm"].isin(CURVE_ARMS)]
    bad = rho[~((rho >= 0) & (rho <= 1))]
    if len(bad):
        raise UserError(
            f"{source}: column 'rho' holds {bad[0]:g}; expected a share between 0 and 1"
        )
    losses = runs["validation_loss"].to_numpy()
    negative = losses[losses < 0]
    if len(negative):
        raise UserError(
            f"{source}: column 'validation_loss' holds {negative[0]:g}; expected nats/token, which "
            "are never negative"
        )
    huge = losses[has_loss(runs) & (losses > MAX_LOSS)]
    if len(huge):
        raise UserError(
            f"{source}: column 'validation_loss' holds {huge[0]:g}; expected nats/token, at most "
            f"{MAX_LOSS:g}"
        )
    # The same allocation, written by two machines, is one value of rho.
    runs["rho"] = runs["rho"].round(9)
    return runs


def _seeds(runs: pd.DataFrame, source: str) -> pd.Series:
    """Return the seeds as int64, each as it was written.

    Raises:
        UserError: one is no integer, or a float that may have been another integer.
    """
    seeds, stored = numbers(runs, "seed", source), pd.Series(runs["seed"])
    if stored.dtype == np.int64:
        return stored
    bad = np.flatnonzero(seeds.isna() | (seeds != seeds.round()))
    if len(bad):
        raise UserError(f"{source}: column 'seed' holds {seeds[bad[0]]:g}; expected an integer")
    inexact = np.flatnonzero(seeds.abs() >= MAX_EXACT)
    if len(inexact):
        raise UserError(
            f"{source}: column 'seed' holds {stored.iloc[inexact[0]]!s:.60}; expected an integer "
            "below 2^53, or a column of 64-bit integers"
        )
    return seeds.astype(np.int64)


def repeats_of(runs: pd.DataFrame) -> np.ndarray:
    """Return which rows repeat an earlier run (the same `run_id`) in another batch, shape (n,).

    The same run twice in one batch is no repeat but a duplicate.
    """
    if "run_id" not in runs:
        return np.zeros(len(runs), dtype=bool)
    keys = pd.DataFrame({"run_id": runs["run_id"], "batch": batch_of(runs)})
    return (keys["run_id"].notna() & keys.duplicated("run_id") & ~keys.duplicated()).to_numpy()


def _refuse_duplicates(runs: pd.DataFrame, on_curve: pd.Series, source: str) -> None:
    # The arms of the curve share its points: pure MoE and a hybrid at rho = 1 are two of one.
    kind = runs["arm"].where(~on_curve, "curve")
    twice = np.flatnonzero(runs.assign(kind=kind).duplicated(["kind", "rho", "seed"]))
    if len(twice):
        row = runs.loc[twice[0]].to_dict()
        raise UserError(
            f"{source}: two runs of arm {row['arm']} at rho {row['rho']:g}, seed {row['seed']}; "
            "expected one each"
        )


def _refuse_too_few(curve: pd.DataFrame, asked: int, source: str) -> None:
    """Refuse a curve without enough points.

    Args:
        curve: its finite runs.
        asked: number of its runs, finite or not.
        source: what to call the table in messages.
    """
    if asked == 0:
        raise UserError(
            f"{source}: column 'arm' has no run of {' or '.join(CURVE_ARMS)}, so there is no curve"
        )
    if curve.empty:
        raise UserError(f"{source}: all {asked} runs along rho failed or diverged; no loss to fit")
    points = len(set(curve["rho"]))
    if points < MIN_POINTS:
        raise UserError(
            f"{source}: {points} {'value of rho has' if points == 1 else 'values of rho have'} a "
            f"loss; expected at least {MIN_POINTS} for a curve"
        )


def has_loss(runs: pd.DataFrame) -> np.ndarray:
    """Return which runs have a loss to use: finite, and not marked as failed, shape (n,)."""
    finite = np.isfinite(runs["validation_loss"].to_numpy(float))
    if "outcome" in runs:
        finite = finite & (runs["outcome"].fillna("ok") == "ok").to_numpy()
    return finite
