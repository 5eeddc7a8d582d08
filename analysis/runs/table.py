"""The table of runs: what it must contain, what is set aside and why. Every refusal is one line.

One row per run, with `rho` (realised share of the sparse budget in experts), `seed` and
`validation_loss` (nats/token). Optional: `arm`, `scale`, `outcome`, `window_losses`,
`window_tokens`, `schema_version` and provenance. Nothing is dropped silently: runs without a loss
are kept in `failed`, and a run that was trained again elsewhere (the same `run_id` in another batch
of batches.batch_of) in `repeats`.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.runs.batches import batch_of
from engram_sweep.errors import UserError
from engram_sweep.planning.arms import ARMS, ENGRAM, curve_arms, is_variant

MIN_POINTS = 3
"""Values of rho that a curve needs."""
REQUIRED = ("rho", "seed", "validation_loss")
"""Columns that every table must have."""
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
        UserError: the column holds text.
    """
    text = [at for at, value in enumerate(table[column]) if isinstance(value, str)]
    if text:
        raise UserError(
            f"{source}: column '{column}' holds {table[column].iloc[text[0]]!r}; expected a number"
        )
    return pd.Series(pd.to_numeric(table[column], errors="coerce"), index=table.index, dtype=float)


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

    for column in ("rho", "validation_loss"):
        runs[column] = numbers(runs, column, source)
    runs["seed"] = _seeds(runs, source)
    if "arm" not in runs:
        runs["arm"] = ENGRAM.key
    unknown = sorted(arm for arm in set(map(str, runs["arm"])) - set(ARMS) if not is_variant(arm))
    if unknown:
        raise UserError(
            f"{source}: column 'arm' holds '{unknown[0]}'; expected one of {', '.join(ARMS)}"
        )
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
    # The same allocation, written by two machines, is one value of rho.
    runs["rho"] = runs["rho"].round(9)
    return runs


def _seeds(runs: pd.DataFrame, source: str) -> pd.Series:
    seeds = numbers(runs, "seed", source)
    bad = np.flatnonzero(seeds.isna() | (seeds != seeds.round()))
    if len(bad):
        raise UserError(f"{source}: column 'seed' holds {seeds[bad[0]]:g}; expected an integer")
    return seeds.astype(int)


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
            f"{source}: {points} values of rho have a loss; "
            f"expected at least {MIN_POINTS} for a curve"
        )


def has_loss(runs: pd.DataFrame) -> np.ndarray:
    """Return which runs have a loss to use: finite, and not marked as failed, shape (n,)."""
    finite = np.isfinite(runs["validation_loss"].to_numpy(float))
    if "outcome" in runs:
        finite = finite & (runs["outcome"].fillna("ok") == "ok").to_numpy()
    return finite
