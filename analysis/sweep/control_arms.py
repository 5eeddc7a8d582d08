"""What the control arms get, paired with pure MoE.

They show how much of the gain is memory and how much is extra compute.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.curve.means import RhoMeans
from analysis.curve.readings import Interval
from analysis.runs.table import SweepRuns
from analysis.sweep.paired import paired_limits
from engram_sweep.planning.arms import ARMS, ONE_ROW


@dataclass(frozen=True)
class ArmEffect:
    """One arm at one rho."""

    arm: str
    """Key of the arm: over_encoding, one_row or dense."""
    rho: float
    """Realised share in experts; NaN if the arm has none."""
    runs: int
    """Number of finite runs."""
    loss: float
    """Mean validation loss, nats/token."""
    gain_over_moe: Interval
    """Loss at rho = 1 minus this arm's, same seeds, nats/token (negative: the arm is worse)."""
    gain_over_hybrid: Interval
    """Loss of the hybrid at the same rho minus this arm's, same seeds, nats/token.

    Only for an arm that splits the budget as a hybrid does (over_encoding), else all None.
    """


@dataclass(frozen=True)
class GainParts:
    """The gain of the best measured hybrid over rho = 1, in two steps that add up to it."""

    rho: float
    """Share at which that hybrid was measured."""
    compute: Interval
    """Loss at rho = 1 minus that of one_row, nats/token: compute and gates without a memory."""
    memory: Interval
    """Loss of one_row minus the hybrid's, nats/token: what the table adds."""


def arm_effects(sweep: SweepRuns, means: RhoMeans, level: float) -> tuple[ArmEffect, ...]:
    """Return the paired effects of every control arm with a finite run, in order of arm and rho.

    Args:
        sweep: the runs.
        means: their means and noise.
        level: coverage of the intervals, for example 0.9.
    """
    moe = losses_at(sweep, 1.0)
    arms = sweep.arms.sort_values(by=["arm", "rho"])
    # A dictionary keeps each pair once and in order. NaN differs from itself, so -1 stands for it.
    pairs = dict.fromkeys(zip(arms["arm"], arms["rho"].fillna(-1), strict=True))
    effects = []
    for arm, known in pairs:
        rho = known if known >= 0 else float("nan")
        losses = _by_seed(runs_of(sweep, arm, rho))
        hybrid = Interval(None, None, None)
        if ARMS[arm].splits_budget:
            hybrid = paired(losses_at(sweep, rho), losses, means, level)
        effects.append(
            ArmEffect(
                arm=arm,
                rho=rho,
                runs=len(losses),
                loss=float(np.mean(losses)),
                gain_over_moe=paired(moe, losses, means, level),
                gain_over_hybrid=hybrid,
            )
        )
    return tuple(effects)


def gain_parts(sweep: SweepRuns, means: RhoMeans, best: float, level: float) -> GainParts | None:
    """Split the gain into compute and memory.

    Args:
        sweep: the runs.
        means: their means and noise.
        best: where the fitted loss is lowest; the nearest measured rho below 1 stands for it.
        level: coverage of the intervals.

    Returns:
        The parts; None without finite runs of one_row, at rho = 1 and at a rho below 1.
    """
    one_row = _by_seed(sweep.arms.loc[sweep.arms["arm"] == ONE_ROW.key])
    below = means.rho[means.rho < 1]
    if one_row.empty or means.rho[-1] != 1 or not len(below):
        return None
    rho = float(below[np.abs(below - best).argmin()])
    compute = paired(losses_at(sweep, 1.0), one_row, means, level)
    memory = paired(one_row, losses_at(sweep, rho), means, level)
    if compute.value is None or memory.value is None:
        return None
    return GainParts(rho, compute, memory)


def runs_of(sweep: SweepRuns, arm: str, rho: float) -> pd.DataFrame:
    """Return the finite runs of a control arm at one rho (NaN if the arm has none)."""
    at_rho = sweep.arms["rho"].isna() if np.isnan(rho) else sweep.arms["rho"] == rho
    return sweep.arms.loc[(sweep.arms["arm"] == arm) & at_rho]


def losses_at(sweep: SweepRuns, rho: float) -> pd.Series:
    """Return the losses of the curve at one rho, by seed; none for NaN."""
    return _by_seed(sweep.curve.loc[np.isclose(sweep.curve["rho"], rho, atol=1e-6)])


def _by_seed(runs: pd.DataFrame) -> pd.Series:
    return pd.Series(runs["validation_loss"].to_numpy(float), index=runs["seed"].to_numpy())


def paired(other: pd.Series, losses: pd.Series, means: RhoMeans, level: float) -> Interval:
    """Return the mean of `other` minus `losses` over common seeds, with its interval.

    Limits are None if nothing measures the noise of the sweep.
    """
    common = other.index.intersection(losses.index)
    if not len(common):
        return Interval(None, None, None)
    differences = np.asarray(other[common] - losses[common], dtype=float)
    mean = float(differences.mean())
    if means.noise is None:
        return Interval(mean, None, None)
    return Interval(mean, *paired_limits(differences, means.sigma**2, means.dof, level))
