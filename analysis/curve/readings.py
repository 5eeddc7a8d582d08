"""What is read off a curve: gain, optimum, near-optimal range, break-even."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Interval:
    """A value with its interval; None for what does not exist (see the note of each use)."""

    value: float | None
    """The estimate."""
    low: float | None
    """Lower limit."""
    high: float | None
    """Upper limit."""

    def as_dict(self) -> dict[str, float | None]:
        """Return the JSON object `{value, low, high}`."""
        return {"value": self.value, "low": self.low, "high": self.high}


@dataclass(frozen=True)
class CurveReadings:
    """What is read off a batch of curves; every field has shape (B,)."""

    optimum: np.ndarray
    """rho of the lowest loss."""
    lowest: np.ndarray
    """The lowest loss, nats/token."""
    gain: np.ndarray
    """Loss at the largest rho minus the lowest, nats/token."""
    left_arm: np.ndarray
    """Loss at the smallest rho minus the lowest, nats/token."""
    height: np.ndarray
    """Highest loss minus the lowest, nats/token."""
    near_low: np.ndarray
    """Smallest rho of the range around the optimum with loss below lowest + delta."""
    near_high: np.ndarray
    """Largest rho of that range."""
    break_even: np.ndarray
    """rho below the optimum at which the loss again equals that at the largest rho.

    -inf if the loss stays below it down to the smallest rho measured.
    """


def read_curves(grid: np.ndarray, curves: np.ndarray, delta: float) -> CurveReadings:
    """Read the quantities off curves on a grid, linear between grid points.

    Args:
        grid: ascending evenly spaced shares, shape (P,).
        curves: losses, nats/token, shape (P, B).
        delta: what counts as near-optimal, nats/token.
    """
    best = curves.argmin(axis=0)
    lowest = curves[best, np.arange(curves.shape[1])]
    near = curves - (lowest + delta)
    # Crossings above the optimum are crossings below it on the mirrored axis.
    near_high = -_crossing_below(-grid[::-1], near[::-1], len(grid) - 1 - best, at_edge=-grid[-1])
    return CurveReadings(
        optimum=_refine_minimum(grid, curves, best),
        lowest=lowest,
        gain=curves[-1] - lowest,
        left_arm=curves[0] - lowest,
        height=curves.max(axis=0) - lowest,
        near_low=_crossing_below(grid, near, best, at_edge=grid[0]),
        near_high=near_high,
        break_even=_crossing_below(grid, curves - curves[-1], best, at_edge=-np.inf),
    )


def _refine_minimum(grid: np.ndarray, curves: np.ndarray, best: np.ndarray) -> np.ndarray:
    """Return the vertex of the parabola through the lowest grid point and its neighbours.

    A lowest point at an edge of the grid stays there.
    """
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
    """Return the nearest point below grid[best] at which `height` rises to zero.

    Args:
        grid: evenly spaced points, shape (P,).
        height: values on the grid, below zero at `best`, shape (P, B).
        best: index from which to search downwards, shape (B,).
        at_edge: what to return for a column that never rises to zero.
    """
    before = np.arange(len(grid))[:, None] < best
    above = (height >= 0) & before
    found = above.any(axis=0)
    # The last True: argmax finds the first one of the reversed column.
    last = np.where(found, len(grid) - 1 - above[::-1].argmax(axis=0), 0)
    # The crossing lies between that point and the next one, by linear interpolation.
    columns = np.arange(height.shape[1])
    high = height[last, columns]
    low = height[np.minimum(last + 1, len(grid) - 1), columns]
    share = np.where(high > low, high / np.where(high > low, high - low, 1.0), 0.0)
    return np.where(found, grid[last] + share * (grid[1] - grid[0]), at_edge)
