"""The range of rho that does as well as the optimum, within delta."""

from dataclasses import dataclass

import numpy as np

from analysis.curve.readings import CurveReadings


@dataclass(frozen=True)
class NearOptimal:
    """The range {rho : L(rho) - L_min < delta} around the optimum."""

    value: float
    """rho of the lowest loss."""
    low: float
    """Lower end of the range."""
    high: float
    """Upper end of the range."""
    low_interval: tuple[float, float] | None
    """Interval of the lower end; None with one seed."""
    high_interval: tuple[float, float] | None
    """Interval of the upper end; None with one seed."""


def near_optimal(
    point: CurveReadings, drawn: CurveReadings, level: float, grid: np.ndarray
) -> NearOptimal:
    """Return the near-optimal range of the fitted curve, each end with its interval.

    Args:
        point: readings of the fitted curve, one column.
        drawn: readings of the drawn curves; no column if the noise is unknown.
        level: coverage of the intervals, for example 0.9.
        grid: shares on which curves are read, ascending, shape (P,).
    """
    low, high = float(point.near_low[0]), float(point.near_high[0])
    low_interval = high_interval = None
    if len(drawn.optimum):
        tails = [(1 - level) / 2, (1 + level) / 2]
        # With the optimum at an edge, a fit turns there by chance and a draw around it turns once
        # more: the range's far end is off twice. Mirroring the draws at the estimate takes that
        # out; the wider of the two is kept.
        optimum = np.quantile(drawn.optimum, tails)
        mirror = bool(optimum[0] <= grid[0] or optimum[-1] >= grid[-1])
        low_interval = _limits(low, np.quantile(drawn.near_low, tails), mirror, grid)
        high_interval = _limits(high, np.quantile(drawn.near_high, tails), mirror, grid)
    return NearOptimal(
        value=float(point.optimum[0]),
        low=low,
        high=high,
        low_interval=low_interval,
        high_interval=high_interval,
    )


def _limits(
    estimate: float, quantiles: np.ndarray, mirror: bool, grid: np.ndarray
) -> tuple[float, float]:
    """Return limits that hold the estimate and lie in the measured range.

    Args:
        estimate: an end of the range on the fitted curve.
        quantiles: lower and upper quantile of its draws.
        mirror: whether to add the quantiles mirrored at the estimate.
        grid: shares of the measured range.
    """
    low, high = quantiles
    if mirror:
        low, high = min(low, 2 * estimate - high), max(high, 2 * estimate - low)
    low, high = min(low, estimate), max(high, estimate)
    return float(max(low, grid[0])), float(min(high, grid[-1]))
