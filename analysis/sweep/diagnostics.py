"""Tests of what the intervals assume of the runs.

Misfit of the curve, seeds that tilt, noise that differs along rho, drift over time.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import special

from analysis.curve.fit import UCurve
from analysis.curve.means import RhoMeans

MAX_NULL_DRAWS = 999
"""Draws of the null distribution of one test."""
MIN_NULL_DRAWS = 99
"""Draws for very many runs."""
MAX_NUMBERS = 1_000_000
"""Random numbers for one test, runs times draws."""
CURVE_PARAMETERS = 5
"""Level, two heights and, in effect, one steepness a side."""


@dataclass(frozen=True)
class Diagnostics:
    """P-values of tests; None if the sweep is too small for a test."""

    misfit: float | None
    """That the means scatter around the curve as the run noise explains."""
    seed_tilt: float | None
    """That seeds differ by a shift only and not by a slope in rho."""
    unequal_noise: float | None
    """That the run noise is the same at every rho, once rho = 1 has its own.

    Cochran's test: the largest share of one rho.
    """
    drift: float | None
    """That residuals have no trend over the time of training (a changed machine, library or data).

    None also if the table does not contain when runs were trained.
    """


def diagnose(runs: pd.DataFrame, means: RhoMeans, curve: UCurve) -> Diagnostics:
    """Test the assumptions behind the intervals.

    Args:
        runs: the rows that `means` was made of, in the same order.
        means: their seed-adjusted means.
        curve: the fit.
    """
    rho = runs["rho"].to_numpy(float)
    seeds = np.unique(runs["seed"].to_numpy(), return_inverse=True)[1]
    tilt = np.eye(means.seeds)[seeds] * (rho - rho.mean())[:, None]
    drift = None
    if "started_at" in runs and not any(runs["started_at"].isna()):
        drift = _extra(runs["started_at"].rank().to_numpy(float)[:, None], means)
    return Diagnostics(
        misfit=_misfit(means, curve),
        seed_tilt=_extra(tilt, means) if means.paired else None,
        unequal_noise=_unequal_noise(rho, means),
        drift=drift,
    )


def _unequal_noise(rho: np.ndarray, means: RhoMeans) -> float | None:
    """Return the p-value of the noise that the intervals assume (Cochran's test).

    By simulation: residuals share what the means and seed effects take, so no printed table of the
    test fits.

    Args:
        rho: rho of every run, in the order of `means.residuals`.
        means: the means.

    Returns:
        The p-value; None if there are too few runs.
    """
    residuals = means.residuals
    if residuals.dof < 2 or residuals.variance == 0:
        return None
    # Every draw is a column of all runs, so for thousands of runs there are fewer draws.
    draws = max(MIN_NULL_DRAWS, min(MAX_NULL_DRAWS, MAX_NUMBERS // len(rho)))
    noise = np.random.default_rng(0).standard_normal((len(rho), draws))
    # Drawn noise loses the same rho and seed effects as the losses; the first column is measured.
    squares = np.column_stack([residuals.scaled, residuals.of(noise)]) ** 2
    by_rho = (means.rho[:, None] == rho) @ squares
    largest = by_rho.max(axis=0) / squares.sum(axis=0)
    return float((1 + np.sum(largest[1:] >= largest[0])) / (1 + draws))


def _misfit(means: RhoMeans, curve: UCurve) -> float | None:
    """Return the p-value of an F test of the means' distances from the curve."""
    spare = len(means.rho) - CURVE_PARAMETERS
    if means.dof < 1 or spare < 1 or means.sigma == 0:
        return None
    off = means.loss - curve.chosen.at_rho
    statistic = off @ np.linalg.solve(means.cov, off) / spare
    return float(special.fdtrc(spare, means.dof, statistic))


def _extra(columns: np.ndarray, means: RhoMeans) -> float | None:
    """Return the p-value that more columns, shape (n, k), explain nothing beyond rho and seed."""
    residuals = means.residuals
    free = residuals.of(columns / residuals.scale[:, None])
    # An orthonormal basis by way of the small square matrix: a singular value decomposition of
    # thousands of rows and hundreds of seeds takes far longer.
    squares, turn = np.linalg.eigh(free.T @ free)
    kept = squares > 1e-9 * max(1.0, float(np.abs(columns).max())) ** 2
    basis = free @ (turn[:, kept] / np.sqrt(squares[kept]))
    count = basis.shape[1]
    total = float(residuals.scaled @ residuals.scaled)
    if count == 0 or residuals.dof - count < 1 or total == 0:
        return None
    # An F test: what the basis explains against what it leaves.
    explained = float(((basis.T @ residuals.scaled) ** 2).sum())
    spare = residuals.dof - count
    left = max(total - explained, 1e-12 * total) / spare
    return float(special.fdtrc(count, spare, explained / count / left))
