"""What the control arms get, paired with pure MoE: how much of the gain is memory, how much extra compute."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import special

from analysis.curve.means import RhoMeans
from analysis.curve.readings import Interval
from analysis.runs.table import SweepRuns

ARM_NAMES = {"over_encoding": "over-encoding", "one_row": "one row", "dense": "dense"}


@dataclass(frozen=True)
class ArmEffect:
    """One arm at one rho.

    Attributes:
        arm: over_encoding, one_row or dense.
        rho: realised share in experts; NaN where the arm has none.
        runs: finite runs.
        loss: mean validation loss, nats/token.
        gain_over_moe: loss at rho = 1 minus this arm's, same seeds, nats/token (negative: the arm
            is worse).
        gain_over_hybrid: loss of the hybrid at the same rho minus this arm's, same seeds,
            nats/token; only where the arm splits the budget as a hybrid does (over_encoding), else
            all None.
    """

    arm: str
    rho: float
    runs: int
    loss: float
    gain_over_moe: Interval
    gain_over_hybrid: Interval


@dataclass(frozen=True)
class GainParts:
    """The gain of the best measured hybrid over rho = 1, in two steps that add up to it.

    Attributes:
        rho: share at which that hybrid was measured.
        compute: loss at rho = 1 minus that of one_row, nats/token: the module's compute and gates
            without a memory.
        memory: loss of one_row minus the hybrid's, nats/token: what the table adds.
    """

    rho: float
    compute: Interval
    memory: Interval


def arm_effects(sweep: SweepRuns, means: RhoMeans, level: float) -> tuple[ArmEffect, ...]:
    """Paired effects of every control arm that has a finite run, in order of arm and rho."""
    effects = []
    arms = sweep.arms.sort_values(by=["arm", "rho"])
    for arm, rho in dict.fromkeys(zip(arms["arm"], arms["rho"].fillna(-1), strict=True)):
        rho = rho if rho >= 0 else float("nan")  # NaN is no key: it differs from itself
        runs = runs_of(sweep, arm, rho)
        losses = _by_seed(runs)
        moe, hybrid = (
            _paired(_losses_at(sweep, 1.0), losses, means, level),
            Interval(None, None, None),
        )
        if arm == "over_encoding":
            hybrid = _paired(_losses_at(sweep, rho), losses, means, level)
        effects.append(ArmEffect(arm, rho, len(runs), float(np.mean(losses)), moe, hybrid))
    return tuple(effects)


def gain_parts(sweep: SweepRuns, means: RhoMeans, best: float, level: float) -> GainParts | None:
    """Splits the gain into compute and memory; None without finite runs of one_row, rho = 1 and a rho below it.

    Args:
        sweep: the runs.
        means: their means and noise.
        best: where the fitted loss is lowest; the nearest measured rho below 1 stands for it.
        level: coverage of the intervals.
    """
    one_row = _by_seed(sweep.arms.loc[sweep.arms["arm"] == "one_row"])
    below = means.rho[means.rho < 1]
    if one_row.empty or means.rho[-1] != 1 or not len(below):
        return None
    rho = float(below[np.abs(below - best).argmin()])
    compute = _paired(_losses_at(sweep, 1.0), one_row, means, level)
    memory = _paired(one_row, _losses_at(sweep, rho), means, level)
    return (
        None if compute.value is None or memory.value is None else GainParts(rho, compute, memory)
    )


def runs_of(sweep: SweepRuns, arm: str, rho: float) -> pd.DataFrame:
    """The finite runs of a control arm at one rho (NaN where the arm has none)."""
    at_rho = sweep.arms["rho"].isna() if np.isnan(rho) else sweep.arms["rho"] == rho
    return sweep.arms.loc[(sweep.arms["arm"] == arm) & at_rho]


def _losses_at(sweep: SweepRuns, rho: float) -> pd.Series:
    at = sweep.curve.loc[np.isclose(sweep.curve["rho"], rho, atol=1e-6)]
    return _by_seed(at)


def _by_seed(runs: pd.DataFrame) -> pd.Series:
    return pd.Series(runs["validation_loss"].to_numpy(float), index=runs["seed"].to_numpy())


def _paired(other: pd.Series, losses: pd.Series, means: RhoMeans, level: float) -> Interval:
    """Mean difference over common seeds; its error from the run noise, or its own where that is unequal."""
    common = other.index.intersection(losses.index)
    if not len(common):
        return Interval(None, None, None)
    difference = float(np.mean(other[common] - losses[common]))
    if means.dof < 1:
        return Interval(difference, None, None)
    dof, variance = means.dof, 2 * means.sigma**2
    if means.own_noise is not None:
        dof, variance = (
            len(common) - 1,
            float(np.var(other[common] - losses[common], ddof=1)) if len(common) > 1 else 0,
        )
    if dof < 1:
        return Interval(difference, None, None)
    reach = float(special.stdtrit(dof, (1 + level) / 2) * np.sqrt(variance / len(common)))
    return Interval(difference, difference - reach, difference + reach)
