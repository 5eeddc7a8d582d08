"""Two sweeps beside each other: how their losses, gains and rho* differ, with intervals."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import special

from analysis.curve.readings import Interval
from analysis.sweep.control_arms import losses_at, paired
from analysis.sweep.paired import paired_limits
from analysis.sweep.sweep_analysis import SweepAnalysis
from engram_sweep.errors import UserError

NEAR_RHO = 0.01
"""Two sweeps realise one asked rho in whole experts: values this near are one."""
IDENTITY = ("corpus_fingerprint", "tokenizer_fingerprint")
"""Columns that two sweeps share if a seed means the same batches in both."""


@dataclass(frozen=True)
class AtRho:
    """Both sweeps at one rho; losses in nats/token, differences second minus first."""

    rho: float
    """Realised share in the first sweep."""
    seeds: int
    """Seeds that both have there."""
    losses: tuple[float, float]
    """Mean loss of each, over the common seeds if runs are paired, else over all."""
    difference: Interval
    """Loss of the second minus that of the first."""
    gains: tuple[Interval, Interval]
    """Loss at the largest common rho minus that here, of each by itself."""
    gain_difference: Interval
    """Gain of the second minus that of the first: what is left if only the level differs."""


@dataclass(frozen=True)
class Comparison:
    """What differs between two sweeps."""

    first: SweepAnalysis
    second: SweepAnalysis
    paired: bool
    """Whether runs of one seed were compared: both trained on the same batches."""
    at_rho: tuple[AtRho, ...]
    """Every common rho, ascending."""
    rho_star: Interval
    """rho* of the second minus that of the first."""
    gain: Interval
    """Gain over the largest rho of the second minus that of the first, nats/token."""
    common: tuple[float, float] | None
    """Where both near-optimal ranges overlap; None if they do not."""
    level: float
    """Coverage of the intervals, each by itself."""


def compare(first: SweepAnalysis, second: SweepAnalysis) -> Comparison:
    """Compare two sweeps at every rho that both have.

    Runs are paired by seed if both sweeps read the same text and share two seeds or more: runs of a
    seed then see the same batches, and what those have of their own drops out.

    Args:
        first: one sweep.
        second: the other, analysed at the same level.

    Raises:
        UserError: they have no rho in common.
    """
    pairs = _common_rho(first, second)
    if not pairs:
        raise UserError(
            f"{first.sweep.source} and {second.sweep.source}: expected a rho that both have, got "
            f"{_listed(first)} and {_listed(second)}"
        )
    ends = pairs[-1]
    same_text = _same_text(first, second)
    shared = [
        len(losses_at(first.sweep, a).index.intersection(losses_at(second.sweep, b).index))
        for a, b in pairs
    ]
    by_seed = same_text and min(shared) >= 2
    rows = []
    for (a, b), seeds in zip(pairs, shared, strict=True):
        ours, theirs = losses_at(first.sweep, a), losses_at(second.sweep, b)
        if by_seed:
            common = ours.index.intersection(theirs.index)
            ours, theirs = ours.loc[common], theirs.loc[common]
        gains = (_gain(first, a, ends[0]), _gain(second, b, ends[1]))
        rows.append(
            AtRho(
                rho=a,
                seeds=seeds,
                losses=(float(ours.mean()), float(theirs.mean())),
                difference=_difference(first, second, ours, theirs, by_seed),
                gains=gains,
                gain_difference=independent_difference(gains[1], gains[0]),
            )
        )
    low = max(first.near_optimal.low, second.near_optimal.low)
    high = min(first.near_optimal.high, second.near_optimal.high)
    return Comparison(
        first=first,
        second=second,
        paired=by_seed,
        at_rho=tuple(rows),
        rho_star=independent_difference(second.rho_star, first.rho_star),
        gain=independent_difference(second.high_arm, first.high_arm),
        common=(low, high) if low <= high else None,
        level=first.level,
    )


def independent_difference(one: Interval, other: Interval) -> Interval:
    """Return the difference of two independent readings, limits from theirs.

    The distance to each limit adds in squares (Zou and Donner 2008, "Construction of confidence
    intervals about effect measures", section 2), so that limits may lie unequally far away.

    Args:
        one: a reading with its interval.
        other: what is taken off it.
    """
    if one.value is None or other.value is None:
        return Interval(None, None, None)
    value = one.value - other.value
    if one.low is None or one.high is None or other.low is None or other.high is None:
        return Interval(value, None, None)
    below = np.hypot(one.value - one.low, other.high - other.value)
    above = np.hypot(one.high - one.value, other.value - other.low)
    return Interval(value, value - float(below), value + float(above))


def _common_rho(first: SweepAnalysis, second: SweepAnalysis) -> list[tuple[float, float]]:
    """Return the values of rho of both that are nearest to each other and within NEAR_RHO."""
    pairs = []
    for a in first.means.rho:
        b = second.means.rho[np.abs(second.means.rho - a).argmin()]
        back = first.means.rho[np.abs(first.means.rho - b).argmin()]
        if abs(a - b) <= NEAR_RHO and back == a:
            pairs.append((float(a), float(b)))
    return pairs


def _same_text(first: SweepAnalysis, second: SweepAnalysis) -> bool:
    """Return whether both sweeps say that they read the same text with the same tokenizer."""
    ours, theirs = first.sweep.curve, second.sweep.curve
    if not all(column in runs for column in IDENTITY for runs in (ours, theirs)):
        return False
    return all(
        len(set(pd.concat([ours[column], theirs[column]]).dropna())) == 1 for column in IDENTITY
    )


def _gain(sweep: SweepAnalysis, rho: float, end: float) -> Interval:
    if rho == end:
        return Interval(0.0, 0.0, 0.0)
    return paired(
        losses_at(sweep.sweep, end), losses_at(sweep.sweep, rho), sweep.means, sweep.level
    )


def _difference(
    first: SweepAnalysis, second: SweepAnalysis, ours: pd.Series, theirs: pd.Series, by_seed: bool
) -> Interval:
    """Return the loss of the second minus that of the first at one rho."""
    level = first.level
    if by_seed:
        differences = (theirs - ours).to_numpy(float)
        mean = float(differences.mean())
        if first.means.noise is None or second.means.noise is None:
            return Interval(mean, None, None)
        # The noise of a run is taken as the mean of both; the pairs' own scatter corrects it.
        variance = (first.means.sigma**2 + second.means.sigma**2) / 2
        dof = min(first.means.dof, second.means.dof)
        return Interval(mean, *paired_limits(differences, variance, dof, level))
    mean = float(theirs.mean() - ours.mean())
    parts, freedoms = [], []
    for sweep, losses in ((first, ours), (second, theirs)):
        # Seeds shift a whole sweep, so they are all that is independent in it.
        spread = _spread(sweep)
        parts.append(spread**2 / len(losses))
        freedoms.append(sweep.means.seeds - 1)
    if min(freedoms) < 1 or not np.isfinite(sum(parts)) or sum(parts) <= 0:
        return Interval(mean, None, None)
    # Welch and Satterthwaite: two variances with degrees of freedom of their own.
    dof = sum(parts) ** 2 / sum(
        part**2 / freedom for part, freedom in zip(parts, freedoms, strict=True)
    )
    reach = float(special.stdtrit(dof, (1 + level) / 2) * np.sqrt(sum(parts)))
    return Interval(mean, mean - reach, mean + reach)


def _spread(sweep: SweepAnalysis) -> float:
    """Return how much runs of one rho differ, shifts of their seeds included, nats/token."""
    runs = sweep.sweep.curve
    groups = runs.groupby("rho")["validation_loss"]
    beyond = (runs["validation_loss"] - groups.transform("mean")).to_numpy(float)
    freedom = len(runs) - groups.ngroups
    return float(np.sqrt((beyond**2).sum() / freedom)) if freedom else float("nan")


def _listed(sweep: SweepAnalysis) -> str:
    return ", ".join(f"{rho:.3g}" for rho in sweep.means.rho)
