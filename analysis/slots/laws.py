"""A line in the logarithm of the table size, against a law that saturates.

The paper says that the loss falls on a line in log M (section 3.2). A line is the limit of
L0 - a (1 - (1 + M / M0)^-b) for small b and M0: a bend, flat at either end, is what that law has
beyond it. Heights are least squares in closed form, shapes (M0, b) are searched over a grid, for
many data sets at once.
"""

from dataclasses import dataclass

import numpy as np

from analysis.curve.forms.variable_projection import Projection

BELOW, ABOVE, STEP = 8.0, 2.0, 0.25
"""M0 is searched from so many doublings below the smallest size to so many above the largest.

With these steps a law is met within 2 % of its range (`tests/analysis/slots/test_laws.py`)."""
POWERS = np.geomspace(0.005, 5.0, 22)
"""Values of b; the smallest cannot be told from a line, so that the law begins where that ends."""


@dataclass(frozen=True)
class SaturatingLaw:
    """L0 - a (1 - (1 + M / M0)^-b), losses in nats/token."""

    start: float
    """L0, the loss without rows."""
    drop: float
    """a, how far rows without end lower it."""
    scale: float
    """M0, rows per head from which on they count."""
    power: float
    """b."""

    def at(self, rows: np.ndarray) -> np.ndarray:
        """Return the loss at table sizes M, any shape."""
        return self.start - self.drop * (1 - (1 + rows / self.scale) ** -self.power)


class SizeLaws:
    """Both laws, prepared for measured sizes."""

    def __init__(self, rows: np.ndarray, unit_cov: np.ndarray):
        """Prepare the grid of shapes.

        Args:
            rows: table sizes M, rows per head, ascending, shape (I,), I at least 3.
            unit_cov: covariance of the mean losses up to a factor, shape (I, I).
        """
        self._log_rows = np.log2(rows)
        scales = 2 ** np.arange(
            self._log_rows[0] - BELOW, self._log_rows[-1] + ABOVE + STEP / 2, STEP
        )
        self._scales, self._powers = (
            axis.ravel() for axis in np.meshgrid(scales, POWERS, indexing="ij")
        )
        # The line first, then every shape; a shape falls from 0, so its height is not negative.
        relative = 1 + rows[None] / self._scales[:, None]
        falling = relative ** -self._powers[:, None] - 1
        self._sides = np.vstack([self._log_rows, falling])
        # Their slopes per doubling at the smallest and the largest size, shape (1 + K, 2).
        ends = (
            -np.log(2)
            * (self._powers * (relative[:, [0, -1]].T - 1)).T
            * relative[:, [0, -1]] ** (-self._powers[:, None] - 1)
        )
        self._end_slopes = np.vstack([np.ones(2), ends])
        self._project = Projection(unit_cov)
        projected = self._project(self._sides.T).T
        self._norms = np.linalg.norm(projected, axis=1)
        self._units = projected / self._norms[:, None]

    def line(self, losses: np.ndarray) -> np.ndarray:
        """Return the fitted line of every data set at the sizes, shape (I, B) -> (I, B)."""
        slope = self._units[0] @ self._project(losses) / self._norms[0]
        rising = np.outer(self._log_rows, slope)
        return rising + self._project.level(losses - rising)

    def line_misfit(self, losses: np.ndarray) -> np.ndarray:
        """Return the weighted sum of squares that a line leaves, shape (I, B) -> (B,)."""
        projected = self._project(losses)
        return (projected**2).sum(axis=0) - (self._units[0] @ projected) ** 2

    def bend(self, losses: np.ndarray) -> np.ndarray:
        """Return how much of that the saturating law takes away, never below 0, (I, B) -> (B,)."""
        heights = self._heights(losses)
        line = np.abs(heights[0])
        return np.maximum(heights[1:].max(axis=0), line) ** 2 - line**2

    def end_slopes(self, losses: np.ndarray) -> np.ndarray:
        """Return the slopes of the better law at both ends, nats/token per doubling, (2, B)."""
        heights = self._heights(losses)
        best = np.argmax(heights**2, axis=0)
        height = heights[best, np.arange(losses.shape[1])] / self._norms[best]
        return (height[:, None] * self._end_slopes[best]).T

    def saturating(self, loss: np.ndarray) -> SaturatingLaw | None:
        """Return the saturating law nearest to the losses (I,); None if none falls with them."""
        heights = self._heights(loss[:, None])[1:, 0]
        best = int(np.argmax(heights))
        if heights[best] <= 0:
            return None
        drop = heights[best] / self._norms[1 + best]
        return SaturatingLaw(
            start=float(self._project.level(loss - drop * self._sides[1 + best])),
            drop=float(drop),
            scale=float(self._scales[best]),
            power=float(self._powers[best]),
        )

    def _heights(self, losses: np.ndarray) -> np.ndarray:
        """Return the height of every side in every data set, in units of noise, (1 + K, B)."""
        heights = self._units @ self._project(losses)
        heights[1:] = np.maximum(heights[1:], 0)
        return heights
