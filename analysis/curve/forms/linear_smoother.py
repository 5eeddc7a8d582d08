"""Forms that are linear in the losses once their one width is chosen.

A fit of many data sets is one matrix product. The matrices are made for several widths at once,
because choosing one means trying all.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from analysis.curve.forms.form import Fit, leave_one_out_error
from analysis.curve.means import RhoMeans

Operator = Callable[[np.ndarray, np.ndarray, np.ndarray, Sequence[float]], np.ndarray]
"""Matrices from losses to fitted values, for each of W widths.

Arguments: rho (R,), at (P,), variances (R,), widths; result (W, P, R).
"""


@dataclass(frozen=True)
class LinearSmoother:
    """A smoother whose width is the one that predicts left-out points best."""

    name: str
    """Name in outputs and options."""
    operator: Operator
    """Matrices of the smoother for given widths."""
    widths: tuple[float, ...]
    """The widths that are tried, in the operator's own unit."""

    def fit(self, means: RhoMeans, grid: np.ndarray) -> Fit:
        """Fit the smoother with the width that predicts the left-out points best.

        Args:
            means: at least three values of rho.
            grid: shares at which the curve is wanted, ascending, shape (P,).
        """
        variances = np.diag(means.fit_cov)

        def predict(i: int) -> np.ndarray:
            keep = np.delete(np.arange(len(means.rho)), i)
            weights = self.operator(means.rho[keep], means.rho[[i]], variances[keep], self.widths)
            return weights[:, 0] @ means.loss[keep]

        errors = leave_one_out_error(means, predict) * np.ones(len(self.widths))
        if np.isfinite(errors).all():
            width = self.widths[int(np.argmin(errors))]
        else:
            # Too few points to compare widths: the middle one.
            width = self.widths[len(self.widths) // 2]
        on_grid = self.operator(means.rho, grid, variances, [width])[0]
        at_rho = self.operator(means.rho, means.rho, variances, [width])[0]
        return Fit(
            form=self.name,
            curve=on_grid @ means.loss,
            at_rho=at_rho @ means.loss,
            curves_of=lambda losses: on_grid @ losses,
            cv_error=float(errors.min()),
        )
