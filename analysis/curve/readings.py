"""Intervals for what is read off a curve: gain, optimum, near-optimal range, break-even.

A parametric bootstrap in the hierarchy of the sweep: the mean losses, plus run noise paired over
seeds (Student-t, because few seeds leave the noise itself uncertain), plus the covariance from the
finite set of validation windows. Every draw is fitted again, the forms in play taking equal shares
(ucurve.UCurve.refit).
"""

from dataclasses import dataclass

import numpy as np

from analysis.curve.means import RhoMeans

DRAWS = 2000


@dataclass(frozen=True)
class Interval:
    """A value with its interval; None where it does not exist (see each field's note).

    Attributes:
        value: the estimate.
        low: lower limit.
        high: upper limit.
    """

    value: float | None
    low: float | None
    high: float | None

    def as_dict(self) -> dict[str, float | None]:
        """The JSON object `{value, low, high}`."""
        return {"value": self.value, "low": self.low, "high": self.high}


def draw_errors(means: RhoMeans, draws: int, rng: np.random.Generator) -> np.ndarray:
    """Errors that the mean losses could have had, nats/token, shape (R, draws).

    Run noise is drawn from a multivariate t with the degrees of freedom behind sigma; all rho of
    one draw share its scale. The window part is Gaussian: hundreds of windows, so its covariance is
    well known.

    Raises:
        ValueError: the noise could not be estimated (a single seed).
    """
    if means.dof < 1:
        raise ValueError("one seed leaves no run noise to draw from")
    scale = means.sigma / np.sqrt(rng.chisquare(means.dof, draws) / means.dof)
    runs = np.linalg.cholesky(means.unit_cov) @ rng.standard_normal((len(means.rho), draws)) * scale
    values, vectors = np.linalg.eigh(means.window_cov)
    windows = (
        vectors * np.sqrt(np.maximum(values, 0)) @ rng.standard_normal((len(means.rho), draws))
    )
    return runs + windows


@dataclass(frozen=True)
class CurveReadings:
    """What is read off a batch of curves; every field has shape (B,).

    Attributes:
        optimum: rho of the lowest loss.
        lowest: the lowest loss, nats/token.
        gain: loss at the largest rho minus the lowest, nats/token.
        left_arm: loss at the smallest rho minus the lowest, nats/token.
        near_low: smallest rho of the range around the optimum with loss below lowest + delta.
        near_high: its largest rho.
        break_even: rho below the optimum where the loss again equals that at the largest rho; -inf
            where it stays below down to the smallest rho measured.
    """

    optimum: np.ndarray
    lowest: np.ndarray
    gain: np.ndarray
    left_arm: np.ndarray
    near_low: np.ndarray
    near_high: np.ndarray
    break_even: np.ndarray


def read_curves(grid: np.ndarray, curves: np.ndarray, delta: float) -> CurveReadings:
    """Reads the quantities off curves on a grid, linear between grid points.

    Args:
        grid: ascending evenly spaced shares, shape (P,).
        curves: losses, nats/token, shape (P, B).
        delta: what counts as near-optimal, nats/token.
    """
    best = curves.argmin(axis=0)
    columns = np.arange(curves.shape[1])
    lowest = curves[best, columns]
    near = curves - (lowest + delta)
    return CurveReadings(
        optimum=_refine_minimum(grid, curves, best),
        lowest=lowest,
        gain=curves[-1] - lowest,
        left_arm=curves[0] - lowest,
        near_low=_crossing_below(grid, near, best, at_edge=grid[0]),
        near_high=-_crossing_below(
            -grid[::-1], near[::-1], len(grid) - 1 - best, at_edge=-grid[-1]
        ),
        break_even=_crossing_below(grid, curves - curves[-1], best, at_edge=-np.inf),
    )


def _refine_minimum(grid: np.ndarray, curves: np.ndarray, best: np.ndarray) -> np.ndarray:
    """Vertex of the parabola through the lowest grid point and its neighbours; edges stay edges."""
    inner = np.clip(best, 1, len(grid) - 2)
    columns = np.arange(curves.shape[1])
    left, here, right = (curves[inner + step, columns] for step in (-1, 0, 1))
    bend = left - 2 * here + right
    shift = np.where(bend > 0, (left - right) / np.where(bend > 0, 2 * bend, 1.0), 0.0)
    vertex = grid[inner] + np.clip(shift, -0.5, 0.5) * (grid[1] - grid[0])
    return np.where(inner == best, vertex, grid[best])


def _crossing_below(
    grid: np.ndarray, height: np.ndarray, best: np.ndarray, at_edge: float
) -> np.ndarray:
    """Nearest point below grid[best] where `height` rises to zero; `at_edge` where it never does."""
    before = np.arange(len(grid))[:, None] < best
    above = (height >= 0) & before
    found = above.any(axis=0)
    # The last True: argmax finds the first one of the reversed column.
    last = np.where(found, len(grid) - 1 - above[::-1].argmax(axis=0), 0)
    columns = np.arange(height.shape[1])
    high, low = height[last, columns], height[np.minimum(last + 1, len(grid) - 1), columns]
    share = np.where(high > low, high / np.where(high > low, high - low, 1.0), 0.0)
    return np.where(found, grid[last] + share * (grid[1] - grid[0]), at_edge)
