"""The noise of conditions: draws of the errors of rho* and the gain, and their weights."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from analysis.curve.bootstrap import draw_errors
from analysis.curve.noise import SweepNoise
from analysis.curve.readings import read_curves
from analysis.sweep.sweep_analysis import BOOTSTRAP_SEED, SweepAnalysis


def draw_errors_of_conditions(sweeps: Sequence[SweepAnalysis], draws: int) -> np.ndarray | None:
    """Draw errors of rho* and gain of every condition.

    Args:
        sweeps: the conditions, each analysed by itself.
        draws: B, draws of each.

    Returns:
        Shape (2, n, B); None if no condition repeats a seed.
    """
    # A condition of one seed borrows the noise of the one that knows its own best.
    known = max(sweeps, key=lambda sweep: sweep.means.dof).means.noise
    if known is None:
        return None
    rng = np.random.default_rng(BOOTSTRAP_SEED)
    return np.stack([_errors_of(sweep, known, draws, rng) for sweep in sweeps], axis=1)


def _errors_of(
    sweep: SweepAnalysis, known: SweepNoise, draws: int, rng: np.random.Generator
) -> np.ndarray:
    means = sweep.means
    if means.noise is None:
        means = replace(means, noise=known.of_single_runs(means.rho))
    # As the condition's own intervals are made: around the means, by all forms in play.
    curves = sweep.curve.refit(means.loss[:, None] + draw_errors(means, draws, rng))
    read = read_curves(sweep.curve.grid, curves, sweep.delta)
    point = np.array([sweep.rho_star.value, sweep.gain_over_moe.value], dtype=float)
    return np.stack([read.optimum, read.gain]) - point[:, None]


def inverse_variances(errors: np.ndarray | None, conditions: int) -> np.ndarray:
    """Return inverse variances, shrunk halfway to their mean.

    Args:
        errors: draws (2, n, B) of `draw_errors_of_conditions`, or None: then all weigh the same.
        conditions: n.

    Returns:
        Shape (2, n).

    Few seeds estimate them poorly, and an optimum at the edge of the range seems to have none.
    """
    if errors is None:
        return np.ones((2, conditions))
    variances = np.square(errors).mean(axis=2)
    shrunk = (variances + variances.mean(axis=1, keepdims=True)) / 2
    return 1 / np.where(shrunk > 0, shrunk, 1.0)
