"""The default form, L(rho) = L0 + A s(rho) + B t(1 - rho): two saturating power laws, fitted by projection.

More experts help, more memory helps, each with diminishing returns, so s and t fall from 1 to 0 as
their argument goes from 0 to 1, and A, B >= 0. Their shape is (1 + tail * steepness * x) ** (-1 /
tail): a power law for tail > 0, an exponential at tail = 0, and for tail < 0 a law that is spent at
a finite x, as a table that holds all there is to hold. For given shapes the best L0, A, B are known
in closed form (variable projection), so only the shapes are searched: all pairs of a grid and then
ever closer around the best one, for many data sets at once, and from several of the best grid
points by a local optimiser for the data set itself.
"""

from dataclasses import dataclass

import numpy as np
from scipy import optimize

from analysis.curve.forms.variable_projection import Projection, heights

TAILS = (3.0, 1.0, 0.2, -0.2, -0.5)
STEEPNESS = tuple(np.geomspace(0.5, 60.0, 16))
BOUNDS = (
    (min(TAILS), np.log(STEEPNESS[0])),
    (max(TAILS), np.log(STEEPNESS[-1])),
)  # of (tail, log steepness)
STARTS = 4
CHUNK = 50  # data sets at a time, so that the work arrays stay in cache
ROUNDS = 10  # of the search around the best grid point
STEP = np.array(
    [0.5, 0.25]
)  # its first step in (tail, log steepness), about half of the grid's spacing
MOVES = np.array(
    [(tail, steepness) for tail in (0, -1, 1) for steepness in (0, -1, 1)]
)  # the first stays


@dataclass(frozen=True)
class Refined:
    """The continuous optimum for one data set.

    Attributes:
        curve: fitted loss at the asked rho, nats/token, shape (P,).
        shapes: (tail, steepness) of s, then of t.
        coefficients: (L0, A, B) in nats/token.
        rss: weighted residual sum of squares.
        converged: whether at least two starts reached the lowest residual, and no grid point beats
            it.
    """

    curve: np.ndarray
    shapes: tuple[tuple[float, float], tuple[float, float]]
    coefficients: tuple[float, float, float]
    rss: float
    converged: bool


def shape(x: np.ndarray, tail: np.ndarray | float, steepness: np.ndarray | float) -> np.ndarray:
    """A saturating law of x in [0, 1], scaled to 1 at x = 0 and 0 at x = 1; all arguments broadcast together."""
    exponential = np.abs(tail) < 1e-6
    power = np.where(exponential, 1.0, tail)

    def law(at: np.ndarray | float) -> np.ndarray:
        powers = np.maximum(1 + power * steepness * at, 0.0) ** (-1 / power)
        return np.where(exponential, np.exp(-steepness * np.asarray(at)), powers)

    end = law(1.0)
    return (law(x) - end) / (1 - end)


class DoublePowerLaw:
    """Fits at fixed rho and weights; the grid of shapes is prepared once and reused for every data set."""

    def __init__(self, rho: np.ndarray, unit_cov: np.ndarray):
        """Prepares the projections.

        Args:
            rho: shares at which losses were measured, shape (R,).
            unit_cov: covariance of those losses up to a factor, shape (R, R).
        """
        self.rho = rho
        self._project = Projection(unit_cov)
        self._grid = np.array(
            [(tail, np.log(steepness)) for tail in TAILS for steepness in STEEPNESS]
        )
        self._ws, self._wt = (
            self._project(side) for side in _sides(rho[:, None], self._grid, self._grid)
        )
        self._ss, self._tt = (
            (self._ws**2).sum(0)[:, None, None],
            (self._wt**2).sum(0)[None, :, None],
        )
        self._st = (self._ws.T @ self._wt)[:, :, None]

    def curves(self, losses: np.ndarray, at: np.ndarray) -> np.ndarray:
        """Best grid fit of many data sets.

        Args:
            losses: one data set per column, nats/token, shape (R, B).
            at: shares at which the curves are wanted, shape (P,).

        Returns:
            Fitted losses in nats/token, shape (P, B).
        """
        out = np.empty((len(at), losses.shape[1]))
        for start in range(0, losses.shape[1], CHUNK):
            part = losses[:, start : start + CHUNK]
            k, m, _ = self._best(part)
            s, t, a, b = self._search(self._project(part), self._grid[k], self._grid[m])
            measured, wanted = (np.stack(_sides(rho[:, None], s, t)) for rho in (self.rho, at))
            sides = np.stack([a, b])[:, None]
            level = self._project.level(part - (sides * measured).sum(axis=0))
            out[:, start : start + CHUNK] = level + (sides * wanted).sum(axis=0)
        return out

    def _best(self, losses: np.ndarray, keep: int = 1) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Best shapes of the grid per data set: indices k and m, and the gain in RSS, each (B,).

        With `keep` > 1 (one data set only) the `keep` best pairs instead.
        """
        y = self._project(losses)
        sy, ty = self._ws.T @ y, self._wt.T @ y  # (K, B)
        gain = heights(self._ss, self._tt, self._st, sy[:, None], ty[None])[2]  # (K, K, B)
        flat = gain.reshape(-1, gain.shape[2])
        if keep > 1:
            best, draw = np.argsort(-flat[:, 0])[:keep], 0
        else:
            best, draw = np.argmax(flat, axis=0), np.arange(flat.shape[1])
        k, m = np.unravel_index(best, gain.shape[:2])
        return k, m, flat[best, draw]

    def _search(self, y: np.ndarray, s: np.ndarray, t: np.ndarray) -> tuple[np.ndarray, ...]:
        """Follows the residual down from given shapes, for many data sets at once.

        Each round tries every pair of neighbouring shapes and moves to the best, or else halves the
        step. Without it a draw would be as coarse as the grid, and the estimate, which is not,
        would be judged by other draws than its own kind.

        Args:
            y: projected data sets, shape (R, B).
            s: where to start, (tail, log steepness) of s, shape (B, 2).
            t: the same of t.

        Returns:
            Shapes of s and t, (B, 2), and the heights A and B, (B,).
        """
        step = np.tile(STEP, (y.shape[1], 1))
        draw = np.arange(y.shape[1])
        a = b = np.zeros(y.shape[1])
        for _ in range(ROUNDS):
            near_s, near_t = (
                np.clip(at + MOVES[:, None] * step, *BOUNDS) for at in (s, t)
            )  # (M, B, 2)
            ws, wt = (
                self._project(side) for side in _sides(self.rho[:, None, None], near_s, near_t)
            )  # (R, M, B)
            found = heights(
                (ws**2).sum(0)[:, None], (wt**2).sum(0)[None], np.einsum("rib,rjb->ijb", ws, wt),
                np.einsum("rib,rb->ib", ws, y)[:, None], np.einsum("rib,rb->ib", wt, y)[None],
            )  # fmt: skip
            a, b, gain = (one.reshape(len(MOVES) ** 2, -1) for one in found)
            best = gain.argmax(axis=0)  # the first of equals: staying, which is first, wins
            i, j = np.divmod(best, len(MOVES))
            s, t, a, b = near_s[i, draw], near_t[j, draw], a[best, draw], b[best, draw]
            step = np.where(best[:, None] == 0, step / 2, step)
        return s, t, a, b

    def refine(self, loss: np.ndarray, at: np.ndarray) -> Refined:
        """The continuous optimum for one data set, from several starts.

        Args:
            loss: nats/token, shape (R,).
            at: shares at which the curve is wanted, shape (P,).
        """
        y = self._project(loss)
        k, m, gains = self._best(loss[:, None], keep=STARTS)
        grid_rss = float(y @ y - gains.max())
        ends = []
        for i, j in zip(k, m, strict=True):
            start = np.concatenate([self._grid[i], self._grid[j]])
            bounds = (np.tile(BOUNDS[0], 2), np.tile(BOUNDS[1], 2))
            found = optimize.least_squares(
                lambda theta: self._solve(theta, y)[1], start, bounds=bounds, max_nfev=60
            )
            ends.append((2 * found.cost, found.x))
        ends.sort(key=lambda end: end[0])
        (best, theta), (second, _) = ends[:2]
        # Relative to the noise left, or to the whole signal where there is no noise.
        agree = second - best <= 0.01 * best + 1e-4 * float(y @ y)
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
        """Non-negative coefficients for given shapes, and the whitened residual."""
        columns = self._project(_both(self.rho, theta))
        coefficients, _ = optimize.nnls(columns, y)
        return coefficients, columns @ coefficients - y

    def _curve(
        self, theta: np.ndarray, loss: np.ndarray, y: np.ndarray, at: np.ndarray
    ) -> tuple[np.ndarray, tuple[float, float, float]]:
        (a, b), _ = self._solve(theta, y)
        level = float(self._project.level(loss - _both(self.rho, theta) @ (a, b)))
        return level + _both(at, theta) @ (a, b), (level, float(a), float(b))


def _sides(rho: np.ndarray, s: np.ndarray, t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """s(rho) and t(1 - rho) for shapes (..., 2) of (tail, log steepness); rho broadcasts with `...`."""
    return shape(rho, s[..., 0], np.exp(s[..., 1])), shape(1 - rho, t[..., 0], np.exp(t[..., 1]))


def _both(rho: np.ndarray, theta: np.ndarray) -> np.ndarray:
    """The two sides at rho (P,) as columns, shape (P, 2)."""
    return np.stack(_sides(rho, theta[:2], theta[2:]), axis=1)
