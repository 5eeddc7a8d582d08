"""Half a parabola on each side of the optimum, each with its own curvature.

The smallest asymmetric U: its only shape is where the two halves meet. Smooth forms smear a bend
that is much sharper on one side, and the optimum with it; this one cannot, so how far they disagree
says what is not known.
"""

import numpy as np

from analysis.curve.forms.variable_projection import Projection, heights

KNOTS = 201  # places where the halves may meet, over the measured range
CHUNK = 250  # data sets at a time, so that the work arrays stay in cache


class SplitQuadratic:
    """Fits at fixed rho and weights: L(rho) = L0 + A max(k - rho, 0)^2 + B max(rho - k, 0)^2 with A, B >= 0."""

    def __init__(self, rho: np.ndarray, unit_cov: np.ndarray):
        """Prepares the projections.

        Args:
            rho: shares at which losses were measured, ascending, shape (R,).
            unit_cov: covariance of those losses up to a factor, shape (R, R).
        """
        self._knots = np.linspace(rho[0], rho[-1], KNOTS)
        self._project = Projection(unit_cov)
        self._left, self._right = _halves(rho[:, None], self._knots)
        self._s, self._t = self._project(self._left), self._project(self._right)
        self._ss, self._tt = (np.sum(one**2, axis=0)[:, None] for one in (self._s, self._t))
        self._st = np.sum(self._s * self._t, axis=0)[:, None]

    def curves(self, losses: np.ndarray, at: np.ndarray) -> np.ndarray:
        """Best fit of many data sets.

        Args:
            losses: one data set per column, nats/token, shape (R, B).
            at: shares at which the curves are wanted, shape (P,).

        Returns:
            Fitted losses in nats/token, shape (P, B).
        """
        out = np.empty((len(at), losses.shape[1]))
        for start in range(0, losses.shape[1], CHUNK):
            part = losses[:, start : start + CHUNK]
            y = self._project(part)
            a, b, gain = heights(self._ss, self._tt, self._st, self._s.T @ y, self._t.T @ y)
            knot, column = gain.argmax(axis=0), np.arange(part.shape[1])
            a, b = a[knot, column], b[knot, column]
            level = self._project.level(part - a * self._left[:, knot] - b * self._right[:, knot])
            left, right = _halves(at[:, None], self._knots[knot])
            out[:, start : start + CHUNK] = level + a * left + b * right
        return out


def _halves(rho: np.ndarray, knots: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What rises to the left and to the right of each knot."""
    return np.maximum(knots - rho, 0) ** 2, np.maximum(rho - knots, 0) ** 2
