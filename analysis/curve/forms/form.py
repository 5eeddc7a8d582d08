"""What a form of the curve offers, what a fit of a form is, and how forms are compared."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from analysis.curve.means import RhoMeans

MIN_POINTS_TO_COMPARE = 5
"""Values of rho; fewer leave too little to predict a left-out point from."""

CurvesOf = Callable[[np.ndarray], np.ndarray]
"""Fit many data sets alike: losses (R, B) -> curves (P, B), both in nats/token."""


@dataclass(frozen=True)
class Fit:
    """One form fitted to one sweep: R measured rho, P points of the grid."""

    form: str
    """Name of the form, one of FORMS."""
    curve: np.ndarray
    """Fitted loss on the grid, nats/token, shape (P,)."""
    at_rho: np.ndarray
    """Fitted loss at the measured rho, nats/token, shape (R,)."""
    curves_of: CurvesOf
    """Fit many data sets alike, losses (R, B) -> curves (P, B); what was tuned stays as tuned."""
    cv_error: float
    """Root mean squared error at interior rho left out, nats/token.

    NaN with fewer than MIN_POINTS_TO_COMPARE values of rho.
    """
    converged: bool | None = None
    """Whether the starts of a local optimiser agree; None for a form that needs no optimiser."""
    on_bound: bool = False
    """Whether a shape lies on an upper bound, so that a sharper curve is not ruled out."""


class Form(Protocol):
    """A family of curves that can be fitted to the mean losses of a sweep."""

    @property
    def name(self) -> str:
        """Name in outputs and options, for example "two_power"."""
        ...

    def fit(self, means: RhoMeans, grid: np.ndarray) -> Fit:
        """Fit the form to the means.

        Args:
            means: at least three values of rho.
            grid: shares at which the curve is wanted, ascending, shape (P,).
        """
        ...


def leave_one_out_error(
    means: RhoMeans, predict: Callable[[int], np.ndarray | float]
) -> np.ndarray:
    """Leave out each interior rho in turn and return the root mean squared error of its prediction.

    The ends are never left out: they would be extrapolated, which a fit never does in use.

    Args:
        means: the mean losses.
        predict: the loss at the rho of an index, fitted without it; a vector for several widths.

    Returns:
        Errors in nats/token, of the shape that `predict` returns; one NaN with fewer than
        MIN_POINTS_TO_COMPARE values of rho.
    """
    if len(means.rho) < MIN_POINTS_TO_COMPARE:
        return np.array(np.nan)
    errors = [predict(i) - means.loss[i] for i in range(1, len(means.rho) - 1)]
    return np.sqrt(np.mean(np.square(errors), axis=0))
