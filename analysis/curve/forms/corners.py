"""The default form with corners: its sides may be straight lines that end before the other end.

Every form that competes is smooth: at its sharpest it turns as a parabola does. A truth that turns
in a corner cannot be told from a smooth one by a few rho (docs/lab-notebook.md), and a smooth fit
puts the optimum elsewhere. This form is no competitor and takes no draws; it shows how much the
optimum rests on smoothness (analysis/sweep/smoothness.py).
"""

import numpy as np

from analysis.curve.forms.double_power_law import TAILS, DoublePowerLaw
from analysis.curve.forms.form import Fit
from analysis.curve.means import RhoMeans

CORNER_TAILS = (*TAILS, -0.75, -1.0)
"""Tails of the grid of shapes; a law with a tail of -1 is a straight line until it is spent."""


def fit_corners(means: RhoMeans, grid: np.ndarray) -> Fit:
    """Fit the form to the means.

    Args:
        means: at least three values of rho.
        grid: shares at which the curve is wanted, ascending, shape (P,).
    """
    model = DoublePowerLaw(means.rho, means.fit_cov, CORNER_TAILS)
    fitted = model.curves(means.loss[:, None], np.concatenate([grid, means.rho]))[:, 0]
    return Fit(
        form="corners",
        curve=fitted[: len(grid)],
        at_rho=fitted[len(grid) :],
        curves_of=lambda losses: model.curves(losses, grid),
        cv_error=float("nan"),
    )
