"""Which part of the Engram module is worth what: variants beside it (paper section 6.2, Fig. 5).

A variant is the module with keys of its memory changed, at the rho, experts and P_tot of the whole
module; runs of one seed share text and initial values. So differences are paired by seed, and
intervals hold all variants at once (`many_to_one`). Pure MoE, which has no memory, stands beside
them with an interval of its own: its noise may be another.
"""

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from analysis.curve.readings import Interval
from analysis.levels import LEVEL
from analysis.runs.table import has_loss, repeats_of, with_checked_columns
from analysis.sweep.many_to_one import ManyToOne, many_to_one
from analysis.sweep.paired import paired_limits
from engram_sweep.errors import UserError
from engram_sweep.planning.arms import ENGRAM, MOE, arm_of, is_variant

SIZE = "rows_per_head_asked"
PLACE = ["rho", SIZE]
"""Where a whole module and its variants stand: share of the experts, and size of a given table."""


@dataclass(frozen=True)
class VariantEffect:
    """One variant at one place."""

    arm: str
    """Its key, e.g. `engram/no_gate`."""
    changed: str
    """Fields of the memory that differ from the whole module's, e.g. `gate: false`."""
    rho: float
    size: int | None
    """Rows per head that were asked for; None if what the experts give up decides."""
    runs: int
    """Finite runs."""
    loss: float
    """Their mean validation loss, nats/token."""
    difference: Interval
    """Loss of the variant minus that of the whole module, nats/token: above 0 the part helps.

    Limits hold all variants at once."""
    p: float | None
    """Two-sided, adjusted for all variants; None with one seed."""

    @property
    def label(self) -> str:
        """Return its name in figures and sentences."""
        return arm_of(self.arm).label


@dataclass(frozen=True)
class WholeModule:
    """The whole module at a place where variants stand."""

    rho: float
    size: int | None
    runs: int
    loss: float
    """Mean validation loss, nats/token."""
    moe: Interval
    """Loss of pure MoE minus its own, nats/token, paired by seed; an interval of its own."""


@dataclass(frozen=True)
class Ablation:
    """All variants of one sweep."""

    effects: tuple[VariantEffect, ...]
    """In order of place and key."""
    wholes: tuple[WholeModule, ...]
    sigma: float
    """Noise of a run beyond its seed, nats/token; NaN if nothing measures it."""
    dof: int
    """Degrees of freedom behind it."""
    failed: tuple[str, ...]
    """Arms of variants with runs that have no loss."""
    seeds: int
    level: float
    """Nominal coverage of all variants' intervals together."""


def has_variants(table: pd.DataFrame) -> bool:
    """Return whether any run of a table is of a variant."""
    return "arm" in table and any(is_variant(str(arm)) for arm in set(table["arm"]))


def analyse_ablation(table: pd.DataFrame, source: str = "table", level: float = LEVEL) -> Ablation:
    """Compare every variant with the whole module.

    Args:
        table: one row per run of one condition (columns: `analysis.runs.table`).
        source: what to call the table in messages.
        level: coverage of all intervals together, between 0 and 1.

    Raises:
        UserError: there is no variant, none has a whole module beside it, or runs are duplicated.
    """
    runs = with_checked_columns(table, source)
    runs = runs.loc[~repeats_of(runs)]
    runs = runs.assign(**{SIZE: runs[SIZE].astype(float) if SIZE in runs else np.nan})
    variant = runs["arm"].map(is_variant).astype(bool)
    if not variant.any():
        raise UserError(f"{source}: expected runs of variants (sweep.variants), found none")
    # Only where variants stand; other rho belong to the curve.
    places = runs.loc[variant, PLACE].drop_duplicates()
    beside = runs.loc[variant | (runs["arm"] == ENGRAM.key)].merge(places, on=PLACE)
    beside = beside.sort_values([*PLACE, "arm", "seed"], ignore_index=True)
    twice = np.flatnonzero(beside.duplicated([*PLACE, "arm", "seed"]))
    if len(twice):
        row = beside.loc[twice[0]]
        raise UserError(
            f"{source}: two runs of arm {row['arm']} at rho {row['rho']:g}, seed {row['seed']}; "
            "expected one each"
        )
    lost = set(beside.loc[~has_loss(beside), "arm"])
    finite = beside.loc[has_loss(beside)].reset_index(drop=True)
    cells = finite.groupby([*PLACE, "arm"], dropna=False, sort=True)
    frames = {_key(key): of_cell for key, of_cell in cells}
    number = {key: at for at, key in enumerate(frames)}
    keys = [key for key in frames if is_variant(key[2]) and (*key[:2], ENGRAM.key) in frames]
    if not keys:
        raise UserError(
            f"{source}: expected finished runs of the whole module (arm {ENGRAM.key}) and of "
            "variants at one rho, found none"
        )
    pairs = np.array([[number[key], number[*key[:2], ENGRAM.key]] for key in keys])
    found = many_to_one(
        finite["validation_loss"].to_numpy(float),
        cells.ngroup().to_numpy(),
        pd.factorize(finite["seed"])[0],
        pairs,
        level,
    )
    effects = tuple(_effect(key, frames, found, at) for at, key in enumerate(keys))
    moe = runs.loc[(runs["arm"] == MOE.key) & has_loss(runs)]
    wholes = tuple(
        _whole(key, frames[key], moe, found, level) for key in frames if key[2] == ENGRAM.key
    )
    failed = tuple(sorted(arm for arm in lost if is_variant(arm)))
    seeds = int(finite["seed"].nunique())
    return Ablation(effects, wholes, found.sigma, found.dof, failed, seeds, level)


def _key(key: Any) -> tuple[float, int | None, str]:
    rho, size, arm = key
    return float(rho), None if np.isnan(size) else int(size), str(arm)


def _effect(
    key: tuple[float, int | None, str],
    frames: dict[tuple[float, int | None, str], pd.DataFrame],
    found: ManyToOne,
    at: int,
) -> VariantEffect:
    rho, size, arm = key
    own, whole = frames[key], frames[rho, size, ENGRAM.key]
    values = (found.difference[at], found.low[at], found.high[at], found.p[at])
    difference, low, high, p = (None if np.isnan(one) else float(one) for one in values)
    return VariantEffect(
        arm=arm,
        changed=_changed(own, whole),
        rho=rho,
        size=size,
        runs=len(own),
        loss=float(np.mean(own["validation_loss"])),
        difference=Interval(difference, low, high),
        p=p,
    )


def _whole(
    key: tuple[float, int | None, str],
    own: pd.DataFrame,
    moe: pd.DataFrame,
    found: ManyToOne,
    level: float,
) -> WholeModule:
    mine = own.set_index("seed")["validation_loss"]
    theirs = moe.drop_duplicates("seed").set_index("seed")["validation_loss"]
    differences = (theirs - mine).dropna().to_numpy(float)
    gain = Interval(None, None, None)
    if len(differences):
        gain = Interval(float(differences.mean()), None, None)
    if len(differences) and found.dof:
        limits = paired_limits(differences, found.sigma**2, found.dof, level)
        gain = Interval(gain.value, *limits)
    return WholeModule(key[0], key[1], len(own), float(np.mean(mine)), gain)


def _changed(own: pd.DataFrame, whole: pd.DataFrame) -> str:
    """Return which fields of the memory differ, in words; empty if the specs do not show it."""
    memories = [_memory(frame) for frame in (own, whole)]
    # A field at its default is not in a spec (`engram_sweep.spec`).
    names = sorted((set(memories[0]) | set(memories[1])) - {"rows"})
    return ", ".join(
        f"{name}: {json.dumps(memories[0][name]) if name in memories[0] else 'default'}"
        for name in names
        if memories[0].get(name) != memories[1].get(name)
    )


def _memory(runs: pd.DataFrame) -> dict[str, Any]:
    """Return the memory that the first run's spec has; empty if there is none."""
    try:
        return json.loads(runs["spec"].iloc[0])["geometry"]["memory"] or {}
    except (KeyError, TypeError, ValueError):
        return {}
