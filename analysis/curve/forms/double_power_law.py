"""The default form, L(rho) = L0 + A s(rho) + B t(1 - rho): two saturating power laws.

More experts help, more memory helps, each with diminishing returns, so s and t fall from 1 to 0 as
their argument goes from 0 to 1, and A, B >= 0. Their shape is (1 + tail * steepness * x) ** (-1 /
tail): a power law for tail > 0, an exponential at tail = 0, and for tail < 0 a law that is spent at
a finite x, as a table that holds all there is to hold. For given shapes the best L0, A, B are known
in closed form (variable projection), so only the shapes are searched: all pairs of a grid, and from
the best of them by least squares, for many data sets at once (many_least_squares.py) and by scipy's
for the data set itself.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from scipy import optimize

from analysis.curve.forms.form import Fit, leave_one_out_error
from analysis.curve.forms.many_least_squares import many_least_squares
from analysis.curve.forms.variable_projection import (
    ProjectedModel,
    Projection,
    heights,
    predict_left_out,
)
from analysis.curve.means import RhoMeans

TAILS = (8.0, 3.0, 1.0, 0.2, -0.2, -0.5)
"""Tails of the grid of shapes.

A tail of 8 is an exponent of 1/8; printed loss exponents go down to 0.076 (Kaplan et al.,
arXiv 2001.08361) and 0.28 (Chinchilla, arXiv 2203.15556), in variables that span far more than x.
"""
STEEPNESS = tuple(np.geomspace(0.5, 300.0, 20))
"""Steepness values of the grid of shapes."""
BOUNDS = (
    (min(TAILS), np.log(STEEPNESS[0])),
    (max(TAILS), np.log(STEEPNESS[-1])),
)
"""Lower and upper bounds of (tail, log steepness)."""
STARTS = 4
"""Best grid points from which the local optimiser starts."""


@dataclass(frozen=True)
class Refined:
    """The continuous optimum for one data set."""

    curve: np.ndarray
    """Fitted loss at the asked rho, nats/token, shape (P,)."""
    shapes: tuple[tuple[float, float], tuple[float, float]]
    """(tail, steepness) of s, then of t."""
    coefficients: tuple[float, float, float]
    """(L0, A, B) in nats/token."""
    rss: float
    """Weighted residual sum of squares."""
    converged: bool
    """Whether two starts or more reached the lowest residual, and no grid point beats it."""

    @property
    def on_bound(self) -> bool:
        """Whether a side that is there is as steep, or has as long a tail, as BOUNDS allow.

        The lower bounds are no limit to a curve: a parabola and a straight line lie on them.
        """
        tail, steepness = BOUNDS[1][0], np.exp(BOUNDS[1][1])
        return any(
            height > 0 and (side[0] > 0.999 * tail or side[1] > 0.999 * steepness)
            for height, side in zip(self.coefficients[1:], self.shapes, strict=True)
        )


def shape(x: np.ndarray, tail: np.ndarray | float, steepness: np.ndarray | float) -> np.ndarray:
    """Return a saturating law of x in [0, 1], scaled to 1 at x = 0 and 0 at x = 1.

    Args:
        x: where to evaluate the law; all arguments broadcast together.
        tail: 0 for an exponential, above 0 for a power law, below 0 for a law spent at a finite x.
        steepness: how fast the law falls at x = 0, before it is scaled.
    """
    exponential = np.abs(tail) < 1e-6
    power = np.where(exponential, 1.0, tail)

    def law(at: np.ndarray | float) -> np.ndarray:
        powers = np.maximum(1 + power * steepness * at, 0.0) ** (-1 / power)
        return np.where(exponential, np.exp(-steepness * np.asarray(at)), powers)

    end = law(1.0)
    return (law(x) - end) / (1 - end)


class DoublePowerLaw(ProjectedModel):
    """The model at fixed rho and weights, with its grid of shapes (K of them) prepared once."""

    max_data_sets: ClassVar[int] = 50

    def __init__(self, rho: np.ndarray, unit_cov: np.ndarray, tails: tuple[float, ...] = TAILS):
        """Prepare the projections of both sides for every shape of the grid.

        Args:
            rho: shares at which losses were measured, shape (R,).
            unit_cov: covariance of those losses up to a factor, shape (R, R).
            tails: tails of the grid; no shape has a smaller or a larger one.
        """
        self.rho = rho
        self._project = Projection(unit_cov)
        # Of the shapes of both sides.
        self._bounds = (
            np.tile((min(tails), BOUNDS[0][1]), 2),
            np.tile((max(tails), BOUNDS[1][1]), 2),
        )
        self._grid = np.array(
            [(tail, np.log(steepness)) for tail in tails for steepness in STEEPNESS]
        )
        s, t = _sides(rho[:, None], self._grid, self._grid)
        self.near: np.ndarray | None = None
        """Shapes of the fit that data sets are drawn around, (4,): where they are searched too."""
        self._ws = self._project(s)
        self._wt = self._project(t)
        self._ss = (self._ws**2).sum(0)[:, None, None]
        self._tt = (self._wt**2).sum(0)[None, :, None]
        self._st = (self._ws.T @ self._wt)[:, :, None]

    def _fit_some(self, losses: np.ndarray, at: np.ndarray) -> np.ndarray:
        y = self._project(losses)
        gains = self._grid_gains(y)
        # Every data set is searched from the best pair of the grid, and from the fit it is drawn
        # around if there is one: between the grid's points the residual has narrow, bent valleys.
        best = gains.reshape(-1, gains.shape[2]).argmax(axis=0)
        k, m = np.unravel_index(best, gains.shape[:2])
        starts = [np.concatenate([self._grid[k], self._grid[m]], axis=1)]
        if self.near is not None:
            starts.append(np.tile(self.near, (y.shape[1], 1)))
        theta = self._descend(y, starts)
        s, t = theta[:, :2], theta[:, 2:]
        _, a, b = self._residual(theta, y)
        measured = np.stack(_sides(self.rho[:, None], s, t))
        wanted = np.stack(_sides(at[:, None], s, t))
        # The projection took the level out; with the sides known it is a mean again.
        sides = np.stack([a, b])[:, None]
        level = self._project.level(losses - (sides * measured).sum(axis=0))
        return level + (sides * wanted).sum(axis=0)

    def _grid_gains(self, y: np.ndarray) -> np.ndarray:
        """Return what every pair of the grid takes off the RSS of projected data sets (R, B).

        Returns:
            Gains of shape (K, K, B), s along the first axis and t along the second.
        """
        sy, ty = self._ws.T @ y, self._wt.T @ y  # (K, B)
        return heights(self._ss, self._tt, self._st, sy[:, None], ty[None])[2]

    def _descend(self, y: np.ndarray, starts: list[np.ndarray]) -> np.ndarray:
        """Return the best shapes (B, 4) that least squares reach for data sets from any start."""
        ends = np.stack(
            [
                many_least_squares(lambda at: self._residual(at, y)[0], one, self._bounds)
                for one in starts
            ]
        )
        squares = np.stack([(self._residual(end, y)[0] ** 2).sum(axis=0) for end in ends])
        return ends[squares.argmin(axis=0), np.arange(y.shape[1])]

    def _residual(self, theta: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, ...]:
        """Return what shapes (B, 4) leave of projected data sets (R, B), and A and B, (B,)."""
        s, t = _sides(self.rho[:, None], theta[:, :2], theta[:, 2:])
        ws, wt = self._project(s), self._project(t)
        products = ((ws**2).sum(0), (wt**2).sum(0), (ws * wt).sum(0))
        a, b, _ = heights(*products, (ws * y).sum(0), (wt * y).sum(0))
        return y - a * ws - b * wt, a, b

    def refine(self, loss: np.ndarray, at: np.ndarray) -> Refined:
        """Find the continuous optimum for one data set, from several starts.

        Args:
            loss: nats/token, shape (R,).
            at: shares at which the curve is wanted, shape (P,).
        """
        # The best pairs of the grid are the starts.
        gains = self._grid_gains(self._project(loss[:, None]))[..., 0]
        starts = np.argsort(-gains, axis=None)[:STARTS]
        y = self._project(loss)
        ends = []
        for k, m in zip(*np.unravel_index(starts, gains.shape), strict=True):
            start = np.concatenate([self._grid[k], self._grid[m]])
            found = optimize.least_squares(
                lambda theta: self._solve(theta, y)[1], start, bounds=self._bounds, max_nfev=60
            )
            ends.append((2 * found.cost, found.x))
        ends.sort(key=lambda end: end[0])
        (best, theta), (second, _) = ends[:2]
        # Two starts agree relative to the noise left, or to the whole signal if there is no noise.
        agree = second - best <= 0.01 * best + 1e-4 * float(y @ y)
        grid_rss = float(y @ y - gains.max())
        curve, coefficients = self._curve(theta, loss, y, at)
        (s_tail, s_steepness), (t_tail, t_steepness) = theta.reshape(2, 2).tolist()
        return Refined(
            curve=curve,
            shapes=((s_tail, np.exp(s_steepness)), (t_tail, np.exp(t_steepness))),
            coefficients=coefficients,
            rss=best,
            converged=bool(agree and best <= grid_rss * (1 + 1e-9) + 1e-18),
        )

    def _solve(self, theta: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the non-negative heights for given shapes, and the whitened residual."""
        columns = self._project(_both(self.rho, theta))
        coefficients, _ = optimize.nnls(columns, y)
        return coefficients, columns @ coefficients - y

    def _curve(
        self, theta: np.ndarray, loss: np.ndarray, y: np.ndarray, at: np.ndarray
    ) -> tuple[np.ndarray, tuple[float, float, float]]:
        """Return the curve at `at` for given shapes, and its (L0, A, B)."""
        (a, b), _ = self._solve(theta, y)
        level = float(self._project.level(loss - _both(self.rho, theta) @ (a, b)))
        return level + _both(at, theta) @ (a, b), (level, float(a), float(b))


class DoublePowerLawForm:
    """The form of this file."""

    name = "two_power"

    def fit(self, means: RhoMeans, grid: np.ndarray) -> Fit:
        """Fit the form to the means.

        Args:
            means: at least three values of rho.
            grid: shares at which the curve is wanted, ascending, shape (P,).
        """
        model = DoublePowerLaw(means.rho, means.fit_cov)
        refined = model.refine(means.loss, np.concatenate([grid, means.rho]))
        model.near = np.array([[tail, np.log(steep)] for tail, steep in refined.shapes]).ravel()
        return Fit(
            form=self.name,
            curve=refined.curve[: len(grid)],
            at_rho=refined.curve[len(grid) :],
            curves_of=lambda losses: model.curves(losses, grid),
            cv_error=float(leave_one_out_error(means, predict_left_out(DoublePowerLaw, means))),
            converged=refined.converged,
            on_bound=refined.on_bound,
        )


def _sides(rho: np.ndarray, s: np.ndarray, t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return s(rho) and t(1 - rho) for shapes (..., 2) of (tail, log steepness).

    rho broadcasts with the dimensions before the last one of the shapes.
    """
    return shape(rho, s[..., 0], np.exp(s[..., 1])), shape(1 - rho, t[..., 0], np.exp(t[..., 1]))


def _both(rho: np.ndarray, theta: np.ndarray) -> np.ndarray:
    """Return the two sides at rho (P,) as columns, shape (P, 2)."""
    return np.stack(_sides(rho, theta[:2], theta[2:]), axis=1)
