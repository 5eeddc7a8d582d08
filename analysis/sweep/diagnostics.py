"""Where the model of the runs may be wrong: misfit, tilting seeds, noise that differs along rho, drift over time."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import special

from analysis.curve.fit import UCurve
from analysis.curve.means import RhoMeans

NULL_DRAWS = 999
MOST_NUMBERS = 1_000_000  # drawn for one test
CURVE_PARAMETERS = 5  # level, two heights and, in effect, one steepness a side


@dataclass(frozen=True)
class Diagnostics:
    """P-values of tests; None where the sweep is too small to tell or does not say when runs were trained.

    Attributes:
        misfit: that the means scatter around the curve as the run noise explains.
        seed_tilt: that seeds differ by a shift only and not by a slope in rho.
        unequal_noise: that the run noise is the same at every rho (Cochran's test: the largest
            share of one rho).
        drift: that residuals have no trend over the time of training (a changed machine, library or
            data).
    """

    misfit: float | None
    seed_tilt: float | None
    unequal_noise: float | None
    drift: float | None


def diagnose(
    runs: pd.DataFrame, means: RhoMeans, curve: UCurve, unequal: float | None
) -> Diagnostics:
    """Tests the assumptions behind the intervals.

    Args:
        runs: the rows that `means` was made of, in the same order.
        means: their seed-adjusted means.
        curve: the fit.
        unequal: what `unequal_noise` said of them.
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
        unequal_noise=unequal,
        drift=drift,
    )


def _misfit(means: RhoMeans, curve: UCurve) -> float | None:
    spare = len(means.rho) - CURVE_PARAMETERS
    if means.dof < 1 or spare < 1 or means.sigma == 0:
        return None
    off = means.loss - curve.chosen.at_rho
    statistic = off @ np.linalg.solve(means.cov, off) / spare
    return float(special.fdtrc(spare, means.dof, statistic))


def unequal_noise(rho: np.ndarray, means: RhoMeans) -> float | None:
    """P-value of one run noise for all rho (Cochran's test); None where too few runs tell.

    By simulation: residuals share what the means and seed effects take, so no table of the test
        fits.

    Args:
        rho: of every run, in the order of `means.residuals`.
        means: the means.
    """
    if means.dof < 2 or means.sigma == 0:
        return None
    # Of thousands of runs fewer draws: each takes a column of them.
    draws = max(99, min(NULL_DRAWS, MOST_NUMBERS // len(rho)))
    noise = np.random.default_rng(0).standard_normal((len(rho), draws))
    squares = np.column_stack([means.residuals, means.residuals_of(noise)]) ** 2
    by_rho = (means.rho[:, None] == rho) @ squares
    largest = by_rho.max(axis=0) / squares.sum(axis=0)
    return float((1 + np.sum(largest[1:] >= largest[0])) / (1 + draws))


def _extra(columns: np.ndarray, means: RhoMeans) -> float | None:
    """P-value that more columns, shape (n, k), explain nothing beyond rho and seed."""
    free = means.residuals_of(columns)
    # Singular values by way of the small square matrix: of thousands of rows and hundreds of seeds
    # that takes no time.
    squares, turn = np.linalg.eigh(free.T @ free)
    kept = squares > 1e-9 * max(1.0, float(np.abs(columns).max())) ** 2
    basis = free @ (turn[:, kept] / np.sqrt(squares[kept]))
    count = basis.shape[1]
    total = float(means.residuals @ means.residuals)
    if count == 0 or means.dof - count < 1 or total == 0:
        return None
    explained = float(((basis.T @ means.residuals) ** 2).sum())
    left = max(total - explained, 1e-12 * total) / (means.dof - count)
    return float(special.fdtrc(count, means.dof - count, explained / count / left))
