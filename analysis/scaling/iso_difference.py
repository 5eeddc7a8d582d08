"""What `iso: strict` takes from the curve: its losses minus those of `iso: paper`, run by run.

Both curves share their runs at rho = 1. Everywhere else strict has narrower (or wider) shared
experts at once, so a part of its step away from rho = 1 is that width and not the memory.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import special

from analysis.curve.means import RhoMeans
from analysis.curve.readings import Interval
from analysis.runs.conditions import Condition
from analysis.runs.iso_modes import PAPER, STRICT, width_changes
from analysis.runs.table import SweepRuns
from analysis.sweep.control_arms import losses_at, paired
from analysis.sweep.sweep_analysis import SweepAnalysis


@dataclass(frozen=True)
class IsoDifference:
    """Strict minus paper at one place; every loss in nats/token, paired over common seeds."""

    condition: int
    """Index of the strict curve among the conditions."""
    rho: tuple[float, ...]
    """Values below 1 at which both have a run of one seed, ascending."""
    at_rho: tuple[Interval, ...]
    """Loss of strict minus that of paper at each of them."""
    pairs: int
    """Pairs of runs behind `mean`."""
    mean: Interval
    """The same, mean over all pairs."""
    steps: dict[str, Interval]
    """By mode: loss at the largest common rho minus that of rho = 1, limits None without noise."""
    width_changes: tuple[float, float] | None
    """Least and largest change of strict's shared experts below rho = 1, relative to their width
    there; None if the records do not show it."""
    level: float
    """Coverage of the intervals."""


def iso_differences(
    conditions: Sequence[Condition], sweeps: Sequence[SweepAnalysis]
) -> tuple[IsoDifference, ...]:
    """Return the difference of the two curves at every place that has both.

    Args:
        conditions: the curves.
        sweeps: the same, each analysed by itself at one level.
    """
    papers = {
        one.place: sweep for one, sweep in zip(conditions, sweeps, strict=True) if one.iso == PAPER
    }
    found = []
    for number, (one, strict) in enumerate(zip(conditions, sweeps, strict=True)):
        if one.iso == STRICT and one.place in papers:
            paper = papers[one.place]
            curves = {STRICT: (strict.sweep, strict.means), PAPER: (paper.sweep, paper.means)}
            difference = iso_difference(number, curves, strict.level)
            found += [] if difference is None else [difference]
    return tuple(found)


def iso_difference(
    condition: int, curves: dict[str, tuple[SweepRuns, RhoMeans]], level: float
) -> IsoDifference | None:
    """Compare two curves of one place; None if no rho below 1 has a seed in both.

    Args:
        condition: index of the strict curve among the conditions.
        curves: runs and means of the two curves by mode.
        level: coverage of the intervals.
    """
    (strict, _), (paper, _) = curves[STRICT], curves[PAPER]
    by_rho: dict[float, pd.Series] = {}
    for rho in sorted(set(strict.curve["rho"])):
        ours, theirs = losses_at(strict, rho), losses_at(paper, rho)
        common = ours.index.intersection(theirs.index)
        if rho < 1 and len(common):
            by_rho[float(rho)] = ours.loc[common].sub(theirs.loc[common])
    if not by_rho:
        return None
    noise = [means for _, means in curves.values()]
    nearest = max(by_rho)
    return IsoDifference(
        condition=condition,
        rho=tuple(by_rho),
        at_rho=tuple(_mean([one], noise, level) for one in by_rho.values()),
        pairs=sum(map(len, by_rho.values())),
        mean=_mean(list(by_rho.values()), noise, level),
        steps={
            mode: paired(losses_at(sweep, nearest), losses_at(sweep, 1.0), means, level)
            for mode, (sweep, means) in curves.items()
        },
        width_changes=width_changes(strict.curve),
        level=level,
    )


def _mean(differences: Sequence[pd.Series], noise: Sequence[RhoMeans], level: float) -> Interval:
    """Return the mean of paired differences (a series by seed for each rho) with its interval.

    The error comes from the run noise of both curves below rho = 1, whose shifts by seed cancel;
    without one, from the scatter over seeds.
    """
    mean = float(np.mean(np.concatenate([one.to_numpy(float) for one in differences])))
    pairs = sum(map(len, differences))
    if all(one.dof >= 1 for one in noise):
        # Runs at rho = 1 are in both curves: the fewer degrees of freedom stand for both.
        dof = min(one.dof for one in noise)
        error = np.sqrt(sum(one.sigma**2 for one in noise) / pairs)
    else:
        of_seed = pd.concat(list(differences), axis=1).mean(axis=1)
        dof = len(of_seed) - 1
        error = of_seed.std() / np.sqrt(len(of_seed))
    if dof < 1:
        return Interval(mean, None, None)
    reach = float(special.stdtrit(dof, (1 + level) / 2) * error)
    return Interval(mean, mean - reach, mean + reach)
