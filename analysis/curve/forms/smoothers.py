"""Two forms that assume less than the default: a local quadratic and a smoothing spline.

Both are linear in the losses once their one width is chosen, so a fit of many data sets is one
matrix product. Both are made for several widths at once, because choosing one means trying all.
"""

from collections.abc import Sequence

import numpy as np
from scipy import interpolate

WIDTHS = (0.25, 0.35, 0.5, 0.75, 1.0)  # of the local quadratic, in units of the measured range
STIFFNESS = tuple(np.geomspace(1e-6, 1e-1, 11))  # of the spline, on rho scaled to [0, 1]


def local_quadratic(
    rho: np.ndarray, at: np.ndarray, variances: np.ndarray, widths: Sequence[float]
) -> np.ndarray:
    """Weights of a quadratic fitted around each point with tricube weights.

    A quadratic over the whole range is biased on an asymmetric curve; over a window it is less so.

    Args:
        rho: where losses were measured, shape (R,).
        at: where the fit is wanted, shape (P,).
        variances: relative variance of each loss, shape (R,).
        widths: half-widths of the window as shares of the range; widened where fewer than four
            points lie in it.

    Returns:
        Matrices that take losses (R,) to fitted values (P,), one for each width, shape (W, P, R).
    """
    offset = rho - at[:, None]  # (P, R)
    fourth = np.sort(np.abs(offset), axis=1)[:, min(3, len(rho) - 1)]
    reach = np.maximum(np.reshape(widths, (-1, 1)) * np.ptp(rho), 1.1 * fourth)[
        ..., None
    ]  # (W, P, 1)
    tricube = (1 - np.minimum(np.abs(offset) / reach, 1) ** 3) ** 3
    root = np.sqrt(tricube / variances)
    powers = np.stack([np.ones_like(offset), offset, offset**2], axis=2)  # (P, R, 3)
    return np.linalg.pinv(root[..., None] * powers)[..., 0, :] * root


def spline(
    rho: np.ndarray, at: np.ndarray, variances: np.ndarray, stiffness: Sequence[float]
) -> np.ndarray:
    """Weights of a natural cubic smoothing spline: least squares plus `stiffness` times the squared curvature.

    Args:
        rho: where losses were measured, ascending, shape (R,).
        at: where the fit is wanted, shape (P,).
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
    precision = np.diag(variances.mean() / variances)
    smooth = np.linalg.solve(
        precision + len(x) * np.reshape(stiffness, (-1, 1, 1)) * curvature, precision
    )
    return natural((at - rho[0]) / np.ptp(rho)) @ smooth
