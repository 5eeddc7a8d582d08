"""Least squares with a free level and two non-negative heights, in closed form for many data sets at once.

Every form that is "a level plus one side in rho plus one side in 1 - rho" is fitted by these two
steps: take the level out and whiten (Projection), then solve for the heights (heights). What is
left to search is the sides' shape.
"""

import numpy as np


class Projection:
    """Takes the level out of vectors over rho and whitens them, so that plain sums of squares can be compared."""

    def __init__(self, unit_cov: np.ndarray):
        """Prepares the projection.

        Args:
            unit_cov: covariance of the losses up to a factor, shape (R, R).
        """
        self._whiten = np.linalg.inv(np.linalg.cholesky(unit_cov))
        ones = self._whiten @ np.ones(len(unit_cov))
        self._mean = ones @ self._whiten / (ones @ ones)

    def __call__(self, columns: np.ndarray) -> np.ndarray:
        """Vectors over rho without their level, whitened, shape (R, ...) -> (R, ...)."""
        return np.tensordot(self._whiten, columns - self.level(columns), axes=1)

    def level(self, columns: np.ndarray) -> np.ndarray:
        """Generalised least squares mean over rho, shape (R, ...) -> (...)."""
        return np.tensordot(self._mean, columns, axes=1)


def heights(
    ss: np.ndarray, tt: np.ndarray, st: np.ndarray, sy: np.ndarray, ty: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Non-negative a and b that minimise |y - a s - b t|^2, from inner products of projected vectors.

    Where one height would be negative, the optimum lies on an axis; a side that vanishes, or two
    that are mirror images to rounding, get no second height.

    Args:
        ss: s with itself; all arguments broadcast together.
        tt: t with itself.
        st: s with t.
        sy: s with the data.
        ty: t with the data.

    Returns:
        a, b and the reduction of the sum of squares.
    """
    det = ss * tt - st**2
    inv_det = _inverse(det, 1e-9 * ss * tt)
    a, b = (tt * sy - st * ty) * inv_det, (ss * ty - st * sy) * inv_det
    only_s = np.maximum(sy, 0) * _inverse(ss, 1e-12 * np.max(ss))
    only_t = np.maximum(ty, 0) * _inverse(tt, 1e-12 * np.max(tt))
    inside = (a > 0) & (b > 0)
    s_wins = only_s * sy >= only_t * ty
    a = np.where(inside, a, np.where(s_wins, only_s, 0.0))
    b = np.where(inside, b, np.where(s_wins, 0.0, only_t))
    return a, b, a * sy + b * ty


def _inverse(values: np.ndarray, floor: np.ndarray) -> np.ndarray:
    """1 / values, and 0 where they do not exceed `floor`."""
    present = values > floor
    return np.where(present, 1 / np.where(present, values, 1.0), 0.0)
