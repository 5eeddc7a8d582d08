"""A quadratic fitted around each point, over a window of the measured range.

A quadratic over the whole range is biased on an asymmetric curve; over a window it is less so.
"""

from collections.abc import Sequence

import numpy as np

from analysis.curve.forms.linear_smoother import LinearSmoother

WIDTHS = (0.25, 0.35, 0.5, 0.75, 1.0)
"""Half-widths of the window that are tried, as shares of the measured range."""


def local_quadratic(
    rho: np.ndarray, at: np.ndarray, variances: np.ndarray, widths: Sequence[float]
) -> np.ndarray:
    """Return the weights of a quadratic fitted around each point with tricube weights.

    Args:
        rho: shares at which losses were measured, shape (R,).
        at: shares at which the fit is wanted, shape (P,).
        variances: relative variance of each loss, shape (R,).
        widths: half-widths of the window as shares of the range; widened if fewer than four points
            lie in it.

    Returns:
        Matrices that take losses (R,) to fitted values (P,), one for each width, shape (W, P, R).
    """
    offset = rho - at[:, None]  # (P, R)
    # The window reaches past the fourth nearest point, so that a quadratic is determined.
    fourth = np.sort(np.abs(offset), axis=1)[:, min(3, len(rho) - 1)]
    asked = np.reshape(widths, (-1, 1)) * np.ptp(rho)
    reach = np.maximum(asked, 1.1 * fourth)[..., None]  # (W, P, 1)
    tricube = (1 - np.minimum(np.abs(offset) / reach, 1) ** 3) ** 3
    root = np.sqrt(tricube / variances)
    powers = np.stack([np.ones_like(offset), offset, offset**2], axis=2)  # (P, R, 3)
    # The quadratic's constant is its value at the point itself, where the offset is zero.
    return np.linalg.pinv(root[..., None] * powers)[..., 0, :] * root


LOCAL_QUADRATIC = LinearSmoother("local_quadratic", local_quadratic, WIDTHS)
"""The form of this file."""
