"""What the control arms get, paired with pure MoE: how much of the gain is memory, how much extra compute."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from analysis.intervals import Interval
from analysis.means import RhoMeans
from analysis.table import Sweep


@dataclass(frozen=True)
class ArmEffect:
    """One arm at one rho.

    Attributes:
        arm: over_encoding, one_row or dense.
        rho: realised share in experts; NaN where the arm has none.
        runs: finite runs.
        loss: mean validation loss, nats/token.
        gain_over_moe: loss at rho = 1 minus this arm's, same seeds, nats/token (negative: the arm is worse).
        gain_over_hybrid: loss of the hybrid at the same rho minus this arm's, same seeds, nats/token.
    """

    arm: str
    rho: float
    runs: int
    loss: float
    gain_over_moe: Interval
    gain_over_hybrid: Interval


def arm_effects(sweep: Sweep, means: RhoMeans, level: float) -> tuple[ArmEffect, ...]:
    """Paired effects of every control arm that has a finite run, in order of arm and rho."""
    effects = []
    arms = sweep.arms.sort_values(by=["arm", "rho"])
    for arm, rho in dict.fromkeys(zip(arms["arm"], arms["rho"].fillna(-1), strict=True)):
        rho = rho if rho >= 0 else float("nan")  # NaN is no key: it differs from itself
        runs = runs_of(sweep, arm, rho)
        losses = _by_seed(runs)
        against = [_losses_at(sweep, at) for at in (1.0, rho)]
        moe, hybrid = (_paired(other, losses, means, level) for other in against)
        effects.append(ArmEffect(arm, rho, len(runs), float(np.mean(losses)), moe, hybrid))
    return tuple(effects)


def runs_of(sweep: Sweep, arm: str, rho: float) -> pd.DataFrame:
    """The finite runs of a control arm at one rho (NaN where the arm has none)."""
    at_rho = sweep.arms["rho"].isna() if np.isnan(rho) else sweep.arms["rho"] == rho
    return sweep.arms.loc[(sweep.arms["arm"] == arm) & at_rho]


def _losses_at(sweep: Sweep, rho: float) -> pd.Series:
    at = sweep.curve.loc[np.isclose(sweep.curve["rho"], rho, atol=1e-6)]
    return _by_seed(at)


def _by_seed(runs: pd.DataFrame) -> pd.Series:
    return pd.Series(runs["validation_loss"].to_numpy(float), index=runs["seed"].to_numpy())


def _paired(other: pd.Series, losses: pd.Series, means: RhoMeans, level: float) -> Interval:
    """Mean difference over common seeds; its error from the run noise of the curve."""
    common = other.index.intersection(losses.index)
    if not len(common):
        return Interval(None, None, None)
    difference = float(np.mean(other[common] - losses[common]))
    if means.dof < 1:
        return Interval(difference, None, None)
    reach = float(stats.t.ppf((1 + level) / 2, means.dof) * means.sigma * np.sqrt(2 / len(common)))
    return Interval(difference, difference - reach, difference + reach)
