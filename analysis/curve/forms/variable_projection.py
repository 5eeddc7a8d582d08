"""Least squares with a free level and two non-negative heights, in closed form.

Every form that is "a level plus one side in rho plus one side in 1 - rho" is fitted by these two
steps, for many data sets at once: take the level out and whiten (Projection), then solve for the
heights (heights). What is left to search is the shape of the sides.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ClassVar

import numpy as np

from analysis.curve.means import RhoMeans

SMALLEST = float(np.finfo(float).tiny)
"""Below it the inverse of a number may overflow: a side that is so steep is zero but at its end."""


class Projection:
    """The map that takes the level out of vectors over rho and whitens them.

    Plain sums of squares of projected vectors can be compared.
    """

    def __init__(self, unit_cov: np.ndarray):
        """Prepare the projection.

        Args:
            unit_cov: covariance of the losses up to a factor, shape (R, R).
        """
        self._whiten = np.linalg.inv(np.linalg.cholesky(unit_cov))
        ones = self._whiten @ np.ones(len(unit_cov))
        self._mean = ones @ self._whiten / (ones @ ones)

    def __call__(self, columns: np.ndarray) -> np.ndarray:
        """Return vectors over rho without their level, whitened, shape (R, ...) -> (R, ...)."""
        return np.tensordot(self._whiten, columns - self.level(columns), axes=1)

    def level(self, columns: np.ndarray) -> np.ndarray:
        """Return the generalised least squares mean over rho, shape (R, ...) -> (...)."""
        return np.tensordot(self._mean, columns, axes=1)


class ProjectedModel(ABC):
    """A model of a level and two sides, prepared once for fixed rho and weights."""

    max_data_sets: ClassVar[int]
    """Data sets fitted at a time, so that the work arrays stay in cache."""

    @abstractmethod
    def __init__(self, rho: np.ndarray, unit_cov: np.ndarray):
        """Prepare the projections.

        Args:
            rho: shares at which losses were measured, ascending, shape (R,).
            unit_cov: covariance of those losses up to a factor, shape (R, R).
        """

    @abstractmethod
    def _fit_some(self, losses: np.ndarray, at: np.ndarray) -> np.ndarray:
        """Fit at most `max_data_sets` data sets, losses (R, B) -> curves (P, B)."""

    def curves(self, losses: np.ndarray, at: np.ndarray) -> np.ndarray:
        """Fit many data sets.

        Args:
            losses: one data set per column, nats/token, shape (R, B).
            at: shares at which the curves are wanted, shape (P,).

        Returns:
            Fitted losses in nats/token, shape (P, B).
        """
        curves = np.empty((len(at), losses.shape[1]))
        for start in range(0, losses.shape[1], self.max_data_sets):
            some = slice(start, start + self.max_data_sets)
            curves[:, some] = self._fit_some(losses[:, some], at)
        return curves


def predict_left_out(model: type[ProjectedModel], means: RhoMeans) -> Callable[[int], float]:
    """Return a function that predicts the loss at one rho, by index, from all others."""

    def predict(i: int) -> float:
        keep = np.delete(np.arange(len(means.rho)), i)
        part = model(means.rho[keep], means.fit_cov[np.ix_(keep, keep)])
        return float(part.curves(means.loss[keep, None], means.rho[[i]])[0, 0])

    return predict


def heights(
    ss: np.ndarray, tt: np.ndarray, st: np.ndarray, sy: np.ndarray, ty: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Solve for the non-negative a and b that minimise |y - a s - b t|^2.

    All that is needed are inner products of projected vectors. If one height would be negative, the
    optimum lies on an axis; a side that vanishes, or two that are mirror images to rounding, get no
    second height.

    Args:
        ss: s with itself; all arguments broadcast together.
        tt: t with itself.
        st: s with t.
        sy: s with the data.
        ty: t with the data.

    Returns:
        a, b and the reduction of the sum of squares.
    """
    # The free optimum of both heights, by Cramer's rule.
    det = ss * tt - st**2
    inv_det = _inverse(det, 1e-9 * ss * tt)
    a = (tt * sy - st * ty) * inv_det
    b = (ss * ty - st * sy) * inv_det
    # The optimum on each axis, taken if the free one is not inside the quadrant.
    only_s = np.maximum(sy, 0) * _inverse(ss, 1e-12 * np.max(ss))
    only_t = np.maximum(ty, 0) * _inverse(tt, 1e-12 * np.max(tt))
    inside = (a > 0) & (b > 0)
    s_wins = only_s * sy >= only_t * ty
    a = np.where(inside, a, np.where(s_wins, only_s, 0.0))
    b = np.where(inside, b, np.where(s_wins, 0.0, only_t))
    return a, b, a * sy + b * ty


def _inverse(values: np.ndarray, floor: np.ndarray) -> np.ndarray:
    """Return 1 / values, and 0 for those that do not exceed `floor` or have no finite inverse."""
    present = (values > floor) & (values > SMALLEST)
    return np.where(present, 1 / np.where(present, values, 1.0), 0.0)
