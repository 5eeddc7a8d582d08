"""Many means compared with one, in blocks: Dunnett's simultaneous intervals.

The model is loss[cell, block] = mean[cell] + shift[block] + e with e ~ N(0, sigma^2): a cell is an
arm at one rho, a block a seed, whose shift drops out of every difference. The m differences share
their control and sigma, so their t statistics are jointly a multivariate t; its largest absolute
value sets the intervals (Dunnett, 1955). `scipy.stats.dunnett` has no blocks; the distribution is
drawn here, so that runs may be missing anywhere.
"""

from dataclasses import dataclass

import numpy as np

DRAWS = 100_000
"""Draws of the largest statistic: its 90 % quantile is then known within 0.5 %."""
SEED = 20260107372
"""Fixed, so that the same table gives the same intervals."""


@dataclass(frozen=True)
class ManyToOne:
    """m differences with simultaneous intervals, in the unit of the values."""

    difference: np.ndarray
    """Mean of each cell minus that of its control, blocks taken out, shape (m,); NaN if no block
    links the two."""
    error: np.ndarray
    """Standard errors, shape (m,); NaN if nothing measures the noise."""
    low: np.ndarray
    high: np.ndarray
    """Limits that hold all m differences at once with the asked coverage, shape (m,)."""
    p: np.ndarray
    """Two-sided p-values, adjusted for m comparisons, shape (m,)."""
    sigma: float
    """Noise of one run beyond its block; NaN if nothing measures it."""
    dof: int
    """Degrees of freedom behind it."""


def many_to_one(
    values: np.ndarray,
    cells: np.ndarray,
    blocks: np.ndarray,
    pairs: np.ndarray,
    level: float,
    draws: int = DRAWS,
) -> ManyToOne:
    """Compare cells with their controls.

    Args:
        values: of n runs, shape (n,).
        cells: cell of each run, numbered from 0, shape (n,).
        blocks: block of each run, numbered from 0, shape (n,).
        pairs: cell and its control, shape (m, 2).
        level: coverage of all intervals together, for example 0.9.
        draws: of the largest statistic.

    Example:
        three seeds of a module (cell 0) and two variants: `pairs = [[1, 0], [2, 0]]`.
    """
    count = int(cells.max()) + 1
    design = np.zeros((len(values), count + int(blocks.max()) + 1))
    design[np.arange(len(values)), cells] = 1
    design[np.arange(len(values)), count + blocks] = 1
    contrasts = np.zeros((len(pairs), design.shape[1]))
    contrasts[np.arange(len(pairs)), pairs[:, 0]] = 1
    contrasts[np.arange(len(pairs)), pairs[:, 1]] -= 1

    # Cells and blocks overlap by a constant, so the inverse is a generalised one; a contrast is
    # known if it lies in what the design spans.
    inverse = np.linalg.pinv(design)
    known = np.abs(contrasts @ (inverse @ design) - contrasts).max(1, initial=0) < 1e-9
    difference = np.where(known, contrasts @ inverse @ values, np.nan)
    residuals = values - design @ (inverse @ values)
    dof = len(values) - int(np.linalg.matrix_rank(design))
    empty = np.full(len(pairs), np.nan)
    if dof == 0 or not known.any():
        return ManyToOne(difference, empty, empty, empty, empty, float("nan"), dof)

    sigma = float(np.sqrt(residuals @ residuals / dof))
    # Each row says how the runs' errors make the error of a difference.
    weights = contrasts[known] @ inverse
    unit = np.linalg.norm(weights, axis=1)
    largest = _largest_t(weights / unit[:, None], dof, draws)
    error, p = empty.copy(), empty.copy()
    error[known] = sigma * unit
    # Runs without noise have no error to divide by.
    statistic = np.abs(difference[known]) / np.maximum(error[known], 1e-300)
    above = len(largest) - np.searchsorted(largest, statistic)
    p[known] = (1 + above) / (1 + len(largest))
    reach = np.quantile(largest, level) * error
    return ManyToOne(difference, error, difference - reach, difference + reach, p, sigma, dof)


def _largest_t(weights: np.ndarray, dof: int, draws: int) -> np.ndarray:
    """Draw the largest of m absolute t statistics if all differences are zero.

    Args:
        weights: how the errors of n runs make each statistic, rows of norm one, shape (m, n).
        dof: degrees of freedom of sigma.
        draws: how many.

    Returns:
        Ascending, shape (draws,).
    """
    rng = np.random.default_rng(SEED)
    # m numbers a draw in place of n: the triangle of a QR has the same products of rows.
    root = np.asarray(np.linalg.qr(weights.T, mode="r")).T
    normal = rng.standard_normal((draws, root.shape[1])) @ root.T
    scale = np.sqrt(rng.chisquare(dof, draws) / dof)
    return np.sort(np.abs(normal).max(1) / scale)
