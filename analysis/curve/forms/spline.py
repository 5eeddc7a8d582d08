"""A natural cubic smoothing spline."""

from collections.abc import Sequence

import numpy as np
from scipy import interpolate

from analysis.curve.forms.linear_smoother import LinearSmoother

STIFFNESS = tuple(np.geomspace(1e-6, 1e-1, 11))
"""Weights of the curvature penalty that are tried, on rho scaled to [0, 1]."""


def spline(
    rho: np.ndarray, at: np.ndarray, variances: np.ndarray, stiffness: Sequence[float]
) -> np.ndarray:
    """Return the weights of a natural cubic smoothing spline.

    The spline minimises weighted squares plus `stiffness` times the integrated squared curvature.

    Args:
        rho: shares at which losses were measured, ascending, shape (R,).
        at: shares at which the fit is wanted, shape (P,).
        variances: relative variance of each loss, shape (R,).
        stiffness: weights of the curvature penalty on rho scaled to [0, 1].

    Returns:
        Matrices that take losses (R,) to fitted values (P,), one for each stiffness, shape (W, P,
        R).
    """
    x = (rho - rho[0]) / np.ptp(rho)
    natural = interpolate.CubicSpline(x, np.eye(len(x)), bc_type="natural")
    # The second derivative is linear between knots, so its squared integral is exact by Simpson's
    # rule.
    bends = natural(x, 2)
    middles = (bends[1:] + bends[:-1]) / 2
    steps = np.diff(x)[:, None] / 6
    curvature = sum(
        weight * one.T @ (steps * one)
        for weight, one in ((1, bends[1:]), (4, middles), (1, bends[:-1]))
    )
    # The smoothed losses at the knots: ridge regression with the curvature as the penalty.
    precision = np.diag(variances.mean() / variances)
    penalty = len(x) * np.reshape(stiffness, (-1, 1, 1)) * curvature
    smooth = np.linalg.solve(precision + penalty, precision)
    # Between the knots the natural spline through the smoothed losses is the minimiser.
    return natural((at - rho[0]) / np.ptp(rho)) @ smooth


SPLINE = LinearSmoother("spline", spline, STIFFNESS)
"""The form of this file."""
