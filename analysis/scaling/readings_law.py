"""rho* and the gain as laws of the axes, with draws: linear, and a power (log_gain.py)."""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from analysis.scaling.axes import Axes
from analysis.scaling.log_gain import fit_log_gain, gain_of


@dataclass(frozen=True)
class ScalingLaw:
    """Both quantities at any position, with draws of what they could have been."""

    axes: Axes
    """Where the conditions lie."""
    weights: np.ndarray
    """Weight of every condition, for each quantity, shape (2, n)."""
    measured: np.ndarray
    """Both quantities of every condition, shape (2, n)."""
    errors: np.ndarray | None
    """Draws of how far they are off, shape (2, n, B); None if no seed repeats."""

    def at(self, row: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """Return the law at a row (1 + k,) of the design: values (2,), draws of errors (2, B)."""
        along = row @ self._solve(self.weights[0])
        logs = row @ self.gain_coefficients
        value = np.array([along @ self.measured[0], gain_of(logs[0])])
        if self.errors is None:
            return value, None
        return value, np.stack([along @ self.errors[0], gain_of(logs[1:]) - value[1]])

    @cached_property
    def gain_coefficients(self) -> np.ndarray:
        """Coefficients of log2 of the gain: as measured, then of every draw, (1 + k, 1 + B)."""
        gains = self.measured[1][:, None]
        if self.errors is not None:
            gains = np.hstack([gains, gains + self.errors[1]])
        return fit_log_gain(self.axes.columns, gains, self.weights[1])

    def distances(self) -> tuple[np.ndarray, np.ndarray | None]:
        """Return residuals of the conditions and draws of those that noise alone would cause.

        Their shapes are (2, n) and (2, n, B).
        """
        columns = self.axes.columns
        fitted = gain_of(columns @ self.gain_coefficients[:, 0])
        off = np.eye(len(columns)) - columns @ self._solve(self.weights[0])
        distances = np.stack([off @ self.measured[0], self.measured[1] - fitted])
        if self.errors is None:
            return distances, None
        # Around the fitted gains the law is as good as linear, in proportion to them.
        of_logs = self._solve(self.weights[1] * fitted**2) / fitted
        off_gain = np.eye(len(columns)) - fitted[:, None] * (columns @ of_logs)
        return distances, np.stack([off @ self.errors[0], off_gain @ self.errors[1]])

    def without(self, i: int) -> "ScalingLaw":
        """Return the law of the other conditions, in the same coordinates."""
        weights = self.weights.copy()
        weights[:, i] = 0.0
        return replace(self, weights=weights)

    def _solve(self, weights: np.ndarray) -> np.ndarray:
        """Return weighted least squares as a matrix from measured values to coefficients.

        Its shape is (1 + k, n).
        """
        columns = self.axes.columns
        weighted = columns.T * weights
        return np.linalg.solve(weighted @ columns, weighted)
