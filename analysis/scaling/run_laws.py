"""The laws over single runs of several sizes, for sweeps with few runs of each.

`raw_laws` takes a condition's mean losses and its own noise, so every condition needs two seeds. A
sweep that buys runs where they tell most has conditions with one run at a rho and none at others:
here all runs share one noise, sigma, its ratio at rho = 1 and the seeds' shifts (one for each seed
and size), whose posterior is that of `curve.noise` over all of them.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.curve.noise import SweepNoise, sweep_noise
from analysis.runs.conditions import Condition
from analysis.runs.table import CURVE_ARMS, has_loss
from analysis.scaling.law_tests import fit_tested_laws
from analysis.scaling.raw_law import Points, RawLaw
from analysis.scaling.raw_laws import DRAWS, MIN_CONDITIONS, RawLaws
from analysis.scaling.refit_law import refit_law
from analysis.sweep.sweep_analysis import BOOTSTRAP_SEED
from analysis.threads import one_thread

REFUTED_P = 0.2
"""A law whose misses are less probable than this is refuted.

Few runs refute little: a wrong law that stays in play ends a sweep early, sure of the wrong rho,
while a right one that is refuted leaves the longest length to speak for itself, which is only
wider.
"""


@dataclass(frozen=True)
class Runs:
    """Finished runs, n of them."""

    size: np.ndarray
    """log2 of the axis, shape (n,)."""
    rho: np.ndarray
    """Share in experts, shape (n,)."""
    seed: np.ndarray
    """Seeds, integers, shape (n,)."""
    loss: np.ndarray
    """Validation loss, nats/token, shape (n,)."""


def noise_of_runs(runs: Runs) -> SweepNoise | None:
    """Return the noise that all runs share; None if no point below rho = 1 has two runs."""
    group, cell = group_of(runs), _number(np.stack([runs.size, runs.rho]))
    losses = np.zeros((group.max() + 1, cell.max() + 1))
    losses[group, cell] = runs.loss
    has_run = np.zeros_like(losses, dtype=bool)
    has_run[group, cell] = True
    anchors = np.unique(cell[runs.rho == 1])
    return sweep_noise(losses, has_run, anchors)


def group_of(runs: Runs) -> np.ndarray:
    """Return the number of every run's seed and size: runs of one group share a shift, (n,)."""
    return _number(np.stack([runs.size, runs.seed]))


@one_thread
def fit_run_laws(
    runs: Runs,
    noise: SweepNoise,
    axis: str,
    level: float,
    draws: int = DRAWS,
) -> RawLaws:
    """Fit every family of laws to single runs.

    Args:
        runs: of at least three sizes.
        noise: what they share (`noise_of_runs`).
        axis: what sizes are of.
        level: nominal coverage of the intervals.
        draws: draws of every law.
    """
    sizes = np.unique(runs.size)
    centre = float(sizes.mean())
    anchor, same_group = runs.rho == 1, _same(group_of(runs))
    kappa2 = noise.weight @ (noise.variance * noise.kappa**2)
    cov = np.diag(np.where(anchor, kappa2, noise.sigma**2)) + noise.shift_sd**2 * same_group
    points = Points(
        size=runs.size - centre,
        rho=runs.rho,
        loss=runs.loss,
        whiten=np.linalg.inv(np.linalg.cholesky(cov)),
        dof=noise.dof,
    )
    laws, in_play = fit_tested_laws(points, REFUTED_P)
    errors = _errors(runs, noise, draws, np.random.default_rng(BOOTSTRAP_SEED))
    drawn = []
    for i in in_play:
        scale = _scale(laws[i], draws, np.random.default_rng(BOOTSTRAP_SEED))
        drawn.append(refit_law(laws[i], points, runs.loss[:, None] + scale * errors))
    return RawLaws(
        axis=axis,
        laws=laws,
        in_play=in_play,
        draws=tuple(drawn),
        centre=centre,
        sizes=tuple(map(float, sizes - centre)),
        lowest=float(runs.rho.min()),
        level=level,
        errors=(),
    )


def fit_longest_run_laws(
    runs: Runs, axis: str, level: float, draws: int = DRAWS
) -> tuple[RawLaws, SweepNoise, Runs] | None:
    """Fit the laws to runs, to those of the largest sizes only if all of them refute every law.

    A power of the size holds over a few doublings at best, and what happens early says little of
    the end. Three sizes are the fewest that a law needs. The noise is that of all runs throughout:
    with the pairs of the shortest, which are most of them, it is known well enough to refute.

    Args:
        runs: of any sizes.
        axis: what sizes are of.
        level: nominal coverage of intervals.
        draws: draws of every law.

    Returns:
        The laws, the noise of all runs, and the runs that the laws are fitted to; None if there
            are too few.
    """
    noise = noise_of_runs(runs) if len(runs.loss) else None
    if noise is None:
        return None
    sizes, found = np.unique(runs.size), None
    for first in range(len(sizes) - MIN_CONDITIONS + 1):
        here = runs.size >= sizes[first]
        kept = Runs(runs.size[here], runs.rho[here], runs.seed[here], runs.loss[here])
        found = fit_run_laws(kept, noise, axis, level, draws), noise, kept
        if found[0].in_play:
            break
    return found


def runs_of_conditions(conditions: Sequence[Condition], axis: str) -> Runs:
    """Return the finished runs of the curves of several conditions.

    Args:
        conditions: each with a value on the axis.
        axis: along which they lie.
    """
    parts = []
    for one in conditions:
        curve = one.runs.loc[has_loss(one.runs)]
        if "arm" in curve:
            curve = curve.loc[curve["arm"].isin(CURVE_ARMS)]
        parts.append(curve.assign(size=np.log2(one.axes[axis])))
    table = pd.concat(parts, ignore_index=True)
    return Runs(
        size=table["size"].to_numpy(float),
        # The same allocation, written by two machines, is one value of rho.
        rho=table["rho"].to_numpy(float).round(9),
        seed=table["seed"].to_numpy(int),
        loss=table["validation_loss"].to_numpy(float),
    )


def _errors(runs: Runs, noise: SweepNoise, draws: int, rng: np.random.Generator) -> np.ndarray:
    """Draw errors of the losses, shape (n, draws): each with a kappa and a shift of its own.

    Their size is that of the pairs of runs alone; `_scale` says how large they really are.
    """
    group = group_of(runs)
    of = rng.choice(len(noise.weight), draws, p=noise.weight)
    own = rng.standard_normal((len(group), draws))
    own *= np.where((runs.rho == 1)[:, None], noise.kappa[of], 1.0)
    shifts = rng.standard_normal((group.max() + 1, draws))[group] * noise.shift[of]
    return np.sqrt(noise.variance[of]) * (own + shifts)


def _scale(law: RawLaw, draws: int, rng: np.random.Generator) -> np.ndarray:
    """Draw how many times as large errors are as pairs of runs say, shape (draws,).

    Few runs have a pair. What a law leaves of all runs has more degrees of freedom, and if the law
    is wrong in a way too small to refute it, errors grow by it.
    """
    spare = max(law.spare, 1)
    return np.sqrt(law.chi2 / rng.chisquare(spare, draws))


def _same(group: np.ndarray) -> np.ndarray:
    return (group[:, None] == group).astype(float)


def _number(keys: np.ndarray) -> np.ndarray:
    """Return for every column of keys the number of its value, shape (n,)."""
    return np.unique(np.round(keys, 9), axis=1, return_inverse=True)[1].reshape(-1)
