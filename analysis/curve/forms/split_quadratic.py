"""Half a parabola on each side of the optimum, each with its own curvature.

The smallest asymmetric U: its only shape is where the two halves meet. Smooth forms smear a bend
that is much sharper on one side, and the optimum with it; this form cannot, so the disagreement
between the forms shows what is not known.
"""

from typing import ClassVar

import numpy as np

from analysis.curve.forms.form import Fit, leave_one_out_error
from analysis.curve.forms.variable_projection import (
    ProjectedModel,
    Projection,
    heights,
    predict_left_out,
)
from analysis.curve.means import RhoMeans

KNOTS = 201
"""Places at which the halves may meet, over the measured range."""


class SplitQuadratic(ProjectedModel):
    """The model L(rho) = L0 + A max(k - rho, 0)^2 + B max(rho - k, 0)^2 with A, B >= 0.

    Fits at fixed rho and weights: L0, A, B in closed form for every place k of the knot.
    """

    max_data_sets: ClassVar[int] = 250

    def __init__(self, rho: np.ndarray, unit_cov: np.ndarray):
        """Prepare the projections.

        Args:
            rho: shares at which losses were measured, ascending, shape (R,).
            unit_cov: covariance of those losses up to a factor, shape (R, R).
        """
        self._knots = np.linspace(rho[0], rho[-1], KNOTS)
        self._project = Projection(unit_cov)
        self._left, self._right = _halves(rho[:, None], self._knots)
        self._s = self._project(self._left)
        self._t = self._project(self._right)
        self._ss = np.sum(self._s**2, axis=0)[:, None]
        self._tt = np.sum(self._t**2, axis=0)[:, None]
        self._st = np.sum(self._s * self._t, axis=0)[:, None]

    def _fit_some(self, losses: np.ndarray, at: np.ndarray) -> np.ndarray:
        y = self._project(losses)
        # Solve for the heights at every knot and keep the knot that explains most.
        a, b, gain = heights(self._ss, self._tt, self._st, self._s.T @ y, self._t.T @ y)
        knot, column = gain.argmax(axis=0), np.arange(losses.shape[1])
        a, b = a[knot, column], b[knot, column]
        # The projection took the level out; with the sides known it is a mean again.
        level = self._project.level(losses - a * self._left[:, knot] - b * self._right[:, knot])
        left, right = _halves(at[:, None], self._knots[knot])
        return level + a * left + b * right


class SplitQuadraticForm:
    """The form of this file."""

    name = "split_quadratic"

    def fit(self, means: RhoMeans, grid: np.ndarray) -> Fit:
        """Fit the form to the means.

        Args:
            means: at least three values of rho.
            grid: shares at which the curve is wanted, ascending, shape (P,).
        """
        model = SplitQuadratic(means.rho, means.fit_cov)
        fitted = model.curves(means.loss[:, None], np.concatenate([grid, means.rho]))[:, 0]
        return Fit(
            form=self.name,
            curve=fitted[: len(grid)],
            at_rho=fitted[len(grid) :],
            curves_of=lambda losses: model.curves(losses, grid),
            cv_error=float(leave_one_out_error(means, predict_left_out(SplitQuadratic, means))),
        )


def _halves(rho: np.ndarray, knots: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return what rises to the left and to the right of each knot."""
    return np.maximum(knots - rho, 0) ** 2, np.maximum(rho - knots, 0) ** 2
