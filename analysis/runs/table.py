"""The table of runs: what it must hold, what is set aside and why. Every refusal is one line.

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
from engram_sweep.planning.arms import ARMS, curve_arms

MIN_POINTS = 3
"""Values of rho that a curve needs."""

REQUIRED = ("rho", "seed", "validation_loss")
CURVE_ARMS = curve_arms()
"""Arms whose runs lie on the U-curve."""


@dataclass(frozen=True)
class SweepRuns:
    """The runs of one sweep, sorted into what each is for.

    Attributes:
        curve: finite runs along rho (arms moe and engram), sorted by rho and seed.
        arms: finite runs of the control arms.
        failed: runs without a finite loss, any arm.
        repeats: finite runs that `curve` or `arms` already holds from another batch.
        source: where the table came from, for messages.
    """

    curve: pd.DataFrame
    arms: pd.DataFrame
    failed: pd.DataFrame
    repeats: pd.DataFrame
    source: str


def check_table(table: pd.DataFrame, source: str) -> SweepRuns:
    """Checks a table of runs and sorts it.

    Args:
        table: one row per run.
        source: what to call it in messages (a file or a scale).

    Raises:
        UserError: a column is missing or holds something else, runs are duplicated, scales or
            schema versions are mixed, no run has a loss, or too few rho values have one.
    """
    if not len(table):
        raise UserError(f"{source}: no finished runs; expected at least {MIN_POINTS} values of rho")
    for column in REQUIRED:
        if column not in table:
            found = ", ".join(map(str, list(table.columns)[:8]))
            raise UserError(
                f"{source}: column '{column}' is missing; expected {', '.join(REQUIRED)}, found {found}"
            )
    table = table.reset_index(drop=True).copy()
    for column in ("scale", "schema_version"):
        values = sorted(set(table[column].dropna())) if column in table else []
        if len(values) > 1:
            found = ", ".join(map(str, values))
            raise UserError(f"{source}: column '{column}' mixes {found}; expected one")
    for column in ("rho", "validation_loss"):
        table[column] = numbers(table, column, source)
    table["seed"] = _seeds(table, source)
    if "arm" not in table:
        table["arm"] = "engram"
    unknown = sorted(set(map(str, table["arm"])) - set(ARMS))
    if unknown:
        raise UserError(
            f"{source}: column 'arm' holds '{unknown[0]}'; expected one of {', '.join(ARMS)}"
        )

    on_curve = table["arm"].isin(CURVE_ARMS)
    rho = table["rho"].to_numpy()[on_curve]
    bad = rho[~((rho >= 0) & (rho <= 1))]
    if len(bad):
        raise UserError(
            f"{source}: column 'rho' holds {bad[0]:g}; expected a share between 0 and 1"
        )
    table["rho"] = table["rho"].round(9)  # the same allocation, written by two machines
    again = _repeats(table)
    repeats, table = table.loc[again], table.loc[~again].reset_index(drop=True)
    on_curve = table["arm"].isin(CURVE_ARMS)
    kind = table["arm"].where(~on_curve, "curve")
    twice = np.flatnonzero(table.assign(kind=kind).duplicated(["kind", "rho", "seed"]))
    if len(twice):
        row = table.loc[twice[0]].to_dict()
        raise UserError(
            f"{source}: two runs of arm {row['arm']} at rho {row['rho']:g}, seed {row['seed']}; expected one each"
        )

    finite = _finite(table)
    curve = table.loc[on_curve & finite].sort_values(["rho", "seed"], ignore_index=True)
    if sum(on_curve) == 0:
        raise UserError(
            f"{source}: column 'arm' has no run of {' or '.join(CURVE_ARMS)}, so there is no curve"
        )
    if curve.empty:
        raise UserError(
            f"{source}: all {sum(on_curve)} runs along rho failed or diverged; no loss to fit"
        )
    points = len(set(curve["rho"]))
    if points < MIN_POINTS:
        raise UserError(
            f"{source}: {points} values of rho have a loss; expected at least {MIN_POINTS} for a curve"
        )
    return SweepRuns(
        curve=curve,
        arms=table.loc[~on_curve & finite],
        failed=table.loc[~finite],
        repeats=repeats.loc[_finite(repeats)],
        source=source,
    )


def _finite(table: pd.DataFrame) -> np.ndarray:
    finite = np.isfinite(table["validation_loss"].to_numpy(float))
    return (
        finite & (table["outcome"].fillna("ok") == "ok").to_numpy()
        if "outcome" in table
        else finite
    )


def _repeats(table: pd.DataFrame) -> np.ndarray:
    """Which rows repeat an earlier run (the same `run_id`) in another batch; the same one twice is no repeat."""
    if "run_id" not in table:
        return np.zeros(len(table), dtype=bool)
    runs = pd.DataFrame({"run_id": table["run_id"], "batch": batch_of(table)})
    return (runs["run_id"].notna() & runs.duplicated("run_id") & ~runs.duplicated()).to_numpy()


def numbers(table: pd.DataFrame, column: str, source: str) -> pd.Series:
    """The column as floats; what is missing is NaN.

    Raises:
        UserError: it holds text.
    """
    found = pd.Series(pd.to_numeric(table[column], errors="coerce"), index=table.index, dtype=float)
    text = np.flatnonzero(found.isna() & table[column].notna())
    if len(text):
        raise UserError(
            f"{source}: column '{column}' holds {table.at[text[0], column]!r}; expected a number"
        )
    return found


def _seeds(table: pd.DataFrame, source: str) -> pd.Series:
    seeds = numbers(table, "seed", source)
    bad = np.flatnonzero(seeds.isna() | (seeds != seeds.round()))
    if len(bad):
        raise UserError(f"{source}: column 'seed' holds {seeds[bad[0]]:g}; expected an integer")
    return seeds.astype(int)
