"""A parametric bootstrap in the hierarchy of the sweep: draws of the mean losses, and percentiles.

A draw is the mean losses, plus run noise with its own size of sigma, of the anchor's noise and of
the seeds' shifts (noise.SweepNoise, because few seeds leave all three uncertain), plus the
covariance from the finite set of validation windows. Every draw is fitted again, the forms in play
taking equal shares (fit.UCurve.refit).
"""

import numpy as np

from analysis.curve.means import RhoMeans
from analysis.curve.readings import Interval

DRAWS = 2000
"""Default number of draws."""


def draw_errors(means: RhoMeans, draws: int, rng: np.random.Generator) -> np.ndarray:
    """Draw errors that the mean losses could have had, nats/token, shape (R, draws).

    The window part is Gaussian: hundreds of windows, so its covariance is well known.

    Args:
        means: the mean losses at R values of rho.
        draws: how many columns to draw.
        rng: source of random numbers.

    Raises:
        ValueError: the noise could not be estimated (a single seed).
    """
    if means.noise is None:
        raise ValueError("one seed leaves no run noise to draw from")
    runs = means.noise.draw(draws, rng)
    # The window covariance may be singular, so its root comes from its eigenvectors.
    values, vectors = np.linalg.eigh(means.window_cov)
    root = vectors * np.sqrt(np.maximum(values, 0))
    return runs + root @ rng.standard_normal((len(means.rho), draws))


def percentile_interval(estimate: float, drawn: np.ndarray, level: float) -> Interval:
    """Return the interval of a quantity from its draws; the interval holds the estimate.

    A limit at -inf (no break-even in the measured range) becomes None.

    Args:
        estimate: the quantity on the fitted curve.
        drawn: the quantity on every drawn curve, shape (B,); without draws both limits are None.
        level: coverage, for example 0.9.
    """
    value = _finite(estimate)
    if not len(drawn):
        return Interval(value, None, None)
    # "lower" and "higher" pick draws as they are: an average with -inf would be undefined.
    low = np.quantile(drawn, (1 - level) / 2, method="lower")
    high = np.quantile(drawn, (1 + level) / 2, method="higher")
    return Interval(value, _finite(min(low, estimate)), _finite(max(high, estimate)))


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
