"""One law over the losses of all conditions: how rho* and the gain move with their size.

The law is L(rho, D) = E + C D^-c + A D^u s(rho) + B D^-v t(1 - rho): a floor, what training takes
off every model alike, and the two sides of the curve, whose heights are powers of D. It is fitted
to the mean losses of all conditions at once, so it needs no optimum of any single one. Which shapes
s and t are right is not known, so there are three, and every statement is a range over those that
the losses do not refute.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import optimize, special

from analysis.curve.forms.double_power_law import shape

Side = Callable[[np.ndarray, Sequence[np.ndarray]], np.ndarray]
"""A side of the curve at x in [0, 1] for its parameters: falls from 1 at 0 to 0 at 1."""
POWERS = ((0.05, 3.0), (-2.0, 2.0), (-2.0, 2.0))
"""Bounds of c, u and v."""
STARTS = ((0.3, -0.3, 1.0), (1.0, 0.0, 0.5), (1.0, -0.5, 2.0), (0.6, -1.0, 0.0))
"""Where the search starts in (c, u, v), with every start of the shapes."""
MAX_EVALUATIONS = 80
"""Evaluations of one search."""
GRID_POINTS = 201
"""Points of rho on which a law is read."""


@dataclass(frozen=True)
class Shapes:
    """A family of sides."""

    name: str
    """Its name in sentences."""
    side: Side
    """The side for given parameters."""
    bounds: tuple[tuple[float, float], ...]
    """Of the parameters of one side."""
    starts: tuple[tuple[float, ...], ...]
    """Where the search starts, for both sides alike."""


def _offset_power(x: np.ndarray, at: Sequence[np.ndarray]) -> np.ndarray:
    """Return (x + offset)^-exponent, scaled; parameters log offset and exponent."""
    offset, exponent = np.exp(at[0]), at[1]
    top, end = offset**-exponent, (1 + offset) ** -exponent
    return ((x + offset) ** -exponent - end) / (top - end)


FAMILIES = (
    Shapes("exponential", lambda x, at: shape(x, 0.0, np.exp(at[0])), ((-0.7, 5.0),), ((1.5,),)),
    Shapes(
        "saturating power",
        lambda x, at: shape(x, at[1], np.exp(at[0])),
        ((-0.7, 5.0), (-0.5, 8.0)),
        ((1.5, 1.0),),
    ),
    Shapes(
        "offset power",
        _offset_power,
        ((-5.0, 1.0), (0.05, 4.0)),
        ((-2.0, 0.5),),
    ),
)
"""The families that are tried."""


@dataclass(frozen=True)
class Points:
    """The mean losses of all conditions, n of them."""

    size: np.ndarray
    """log2 of the axis, from the middle of the conditions, shape (n,)."""
    rho: np.ndarray
    """Share in experts, shape (n,)."""
    loss: np.ndarray
    """Mean loss, nats/token, shape (n,)."""
    whiten: np.ndarray
    """Inverse Cholesky factor of the covariance of the losses, shape (n, n)."""
    dof: int
    """Degrees of freedom behind that covariance."""


@dataclass(frozen=True)
class RawLaw:
    """One family fitted to the losses."""

    family: Shapes
    """Its sides."""
    theta: np.ndarray
    """c, u, v and the parameters of s, then of t."""
    heights: np.ndarray
    """E, C, A and B in nats/token, where the axis is in its middle."""
    chi2: float
    """Weighted squares of the losses' distances from the law."""
    spare: int
    """Losses beyond the law's parameters."""
    p_fit: float | None
    """That the losses miss the law by noise only; None without spare losses."""
    p_no_memory: float | None = None
    """That a law without the memory's side would fit as well; None if that was not asked."""

    def curves(self, size: np.ndarray, rho: np.ndarray) -> np.ndarray:
        """Return the losses in nats/token, size (...) and rho (...) broadcasting together."""
        return columns_of(self.family, self.theta, size, rho) @ self.heights

    def optimum_and_gain(self, size: float, lowest: float) -> tuple[float, float]:
        """Return rho* and the gain over rho = 1, nats/token, on shares from `lowest` to 1."""
        ((rho_star, gain),) = self.optima_and_gains(np.array([size]), lowest)
        return float(rho_star), float(gain)

    def optima_and_gains(self, sizes: np.ndarray, lowest: float) -> np.ndarray:
        """Return rho* and the gain over rho = 1 at many sizes (n,), shape (n, 2)."""
        grid = np.linspace(lowest, 1, GRID_POINTS)
        losses = self.curves(sizes[:, None], grid)
        return np.stack([grid[losses.argmin(axis=1)], losses[:, -1] - losses.min(axis=1)], axis=1)


def fit_raw_law(family: Shapes, points: Points) -> RawLaw:
    """Fit one family by least squares.

    Args:
        family: the sides.
        points: losses of at least two sizes.
    """
    theta, heights, chi2 = least_squares(family, points)
    spare = len(points.loss) - len(theta) - 4
    p_fit = None
    if spare > 0 and points.dof > 0:
        p_fit = float(special.fdtrc(spare, points.dof, chi2 / spare))
    return RawLaw(family, theta, heights, chi2, spare, p_fit)


def least_squares(
    family: Shapes, points: Points, terms: int = 4
) -> tuple[np.ndarray, np.ndarray, float]:
    """Search a family's law with the least weighted squares.

    For given c, u, v and shapes the heights are non-negative least squares; the rest is searched
    from several starts.

    Args:
        family: the sides.
        points: losses of at least two sizes.
        terms: how many of E, C, A and B there are; 3 leaves the memory's side out.

    Returns:
        theta (p,), heights (terms,) and chi2.
    """
    bounds = bounds_of(family)
    y = points.whiten @ points.loss

    def solve(theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        columns = columns_of(family, theta, points.size, points.rho)[:, :terms]
        columns = points.whiten @ columns
        heights = optimize.nnls(columns, y)[0]
        return heights, columns @ heights - y

    found = [
        optimize.least_squares(
            lambda theta: solve(theta)[1],
            np.clip(one, bounds[0] + 1e-6, bounds[1] - 1e-6),
            bounds=bounds,
            max_nfev=MAX_EVALUATIONS,
        )
        for one in _starts(family)
    ]
    best = min(found, key=lambda one: one.cost)
    return best.x, solve(best.x)[0], float(2 * best.cost)


def _starts(family: Shapes) -> list[np.ndarray]:
    return [np.array([*powers, *one, *one]) for powers in STARTS for one in family.starts]


def bounds_of(family: Shapes) -> tuple[np.ndarray, np.ndarray]:
    """Return the bounds of c, u, v and both sides' parameters, shape (p,) each."""
    low, high = np.array([*POWERS, *family.bounds, *family.bounds]).T
    return low, high


def columns_of(family: Shapes, theta: np.ndarray, size: np.ndarray, rho: np.ndarray) -> np.ndarray:
    """Return what E, C, A and B multiply, shape (..., 4).

    Args:
        family: the sides.
        theta: c, u, v and the parameters of s, then of t, shape (..., p).
        size: log2 of the axis from the middle of the conditions.
        rho: share in experts; broadcasts with size and with theta's other axes.
    """
    c, u, v, *shapes = np.moveaxis(theta, -1, 0)
    experts, memory = shapes[: len(family.bounds)], shapes[len(family.bounds) :]
    columns = np.broadcast_arrays(
        1.0,
        2.0 ** (-c * size),
        2.0 ** (u * size) * family.side(rho, experts),
        2.0 ** (-v * size) * family.side(1 - rho, memory),
    )
    return np.stack(columns, axis=-1)
