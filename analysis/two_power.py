"""The default form, L(rho) = L0 + A s(rho) + B t(1 - rho): two saturating power laws, fitted by projection.

More experts help, more memory helps, each with diminishing returns, so s and t fall from 1 to 0 as their
argument goes from 0 to 1, and A, B >= 0. Their shape is (1 + tail * steepness * x) ** (-1 / tail): a power law
for tail > 0, an exponential at tail = 0, and for tail < 0 a law that is spent at a finite x, as a table that
holds all there is to hold. For given shapes the best L0, A, B are known in closed form (variable projection),
so only the shapes are searched: all pairs of a grid for many data sets at once, and from several of the best
grid points by a local optimiser for the data set itself.
"""

from dataclasses import dataclass

import numpy as np
from scipy import optimize

TAILS = (3.0, 1.0, 0.2, -0.5)
STEEPNESS = tuple(np.geomspace(0.5, 60.0, 11))
BOUNDS = ((min(TAILS), np.log(STEEPNESS[0])), (max(TAILS), np.log(STEEPNESS[-1])))  # of (tail, log steepness)
STARTS = 4
CHUNK = 250  # data sets at a time, so that the work arrays stay in cache


@dataclass(frozen=True)
class Refined:
    """The continuous optimum for one data set.

    Attributes:
        curve: fitted loss at the asked rho, nats/token, shape (P,).
        shapes: (tail, steepness) of s, then of t.
        coefficients: (L0, A, B) in nats/token.
        rss: weighted residual sum of squares.
        converged: whether at least two starts reached the lowest residual, and no grid point beats it.
    """

    curve: np.ndarray
    shapes: tuple[tuple[float, float], tuple[float, float]]
    coefficients: tuple[float, float, float]
    rss: float
    converged: bool


def shape(x: np.ndarray, tail: float, steepness: float) -> np.ndarray:
    """A saturating law of x in [0, 1], scaled to 1 at x = 0 and 0 at x = 1."""

    def law(at: np.ndarray | float) -> np.ndarray:
        if abs(tail) < 1e-6:
            return np.exp(-steepness * np.asarray(at))
        return np.maximum(1 + tail * steepness * np.asarray(at), 0.0) ** (-1 / tail)

    end = law(1.0)
    return (law(x) - end) / (1 - end)


class TwoPower:
    """Fits at fixed rho and weights; the grid of shapes is prepared once and reused for every data set."""

    def __init__(self, rho: np.ndarray, unit_cov: np.ndarray):
        """Prepares the projections.

        Args:
            rho: shares at which losses were measured, shape (R,).
            unit_cov: covariance of those losses up to a factor, shape (R, R).
        """
        self.rho = rho
        self._whiten = np.linalg.inv(np.linalg.cholesky(unit_cov))
        ones = self._whiten @ np.ones(len(rho))
        self._mean_row = ones @ self._whiten / (ones @ ones)  # GLS mean of a vector over rho
        self._grid = [(tail, steepness) for tail in TAILS for steepness in STEEPNESS]
        self._s = self._columns(rho)
        self._t = self._columns(1 - rho)
        ws, wt = self._project(self._s), self._project(self._t)
        self._ws, self._wt = ws, wt
        self._ss, self._tt, self._st = (ws**2).sum(0), (wt**2).sum(0), ws.T @ wt
        det = self._ss[:, None] * self._tt[None, :] - self._st**2
        # A pair that is mirror images to rounding, or constant over the measured rho, has no second coefficient.
        solvable = det > 1e-9 * self._ss[:, None] * self._tt[None, :]
        self._inv_det = np.where(solvable, 1 / np.where(solvable, det, 1.0), 0.0)
        self._inv_ss = _inverse(self._ss)
        self._inv_tt = _inverse(self._tt)

    def _columns(self, x: np.ndarray) -> np.ndarray:
        return np.stack([shape(x, tail, steepness) for tail, steepness in self._grid], axis=1)

    def _project(self, columns: np.ndarray) -> np.ndarray:
        """Takes the intercept out and whitens, shape (R, ...) -> (R, ...)."""
        return self._whiten @ (columns - self._mean_row @ columns)

    def curves(self, losses: np.ndarray, at: np.ndarray) -> np.ndarray:
        """Best grid fit of many data sets.

        Args:
            losses: one data set per column, nats/token, shape (R, B).
            at: shares at which the curves are wanted, shape (P,).

        Returns:
            Fitted losses in nats/token, shape (P, B).
        """
        s_at, t_at = self._columns(at), self._columns(1 - at)
        out = np.empty((len(at), losses.shape[1]))
        for start in range(0, losses.shape[1], CHUNK):
            part = losses[:, start : start + CHUNK]
            k, m, a, b, _ = self._best(part)
            level = self._mean_row @ part - a * (self._mean_row @ self._s)[k] - b * (self._mean_row @ self._t)[m]
            out[:, start : start + CHUNK] = level + a * s_at[:, k] + b * t_at[:, m]
        return out

    def _best(self, losses: np.ndarray, keep: int = 1) -> tuple[np.ndarray, ...]:
        """Best shapes and coefficients per data set: indices k, m, coefficients a, b and gain in RSS, each (B,).

        With `keep` > 1 (one data set only) the `keep` best pairs instead.
        """
        y = self._project(losses)
        sy, ty = self._ws.T @ y, self._wt.T @ y  # (K, B)
        a = self._tt[None, :, None] * sy[:, None, :] - self._st[:, :, None] * ty[None, :, :]
        a *= self._inv_det[:, :, None]
        b = self._ss[:, None, None] * ty[None, :, :] - self._st[:, :, None] * sy[:, None, :]
        b *= self._inv_det[:, :, None]
        # Where one coefficient would be negative, the optimum of the pair lies on an axis.
        only_s, only_t = np.maximum(sy, 0) * self._inv_ss[:, None], np.maximum(ty, 0) * self._inv_tt[:, None]
        inside = (a > 0) & (b > 0)
        s_wins = (only_s * sy)[:, None, :] >= (only_t * ty)[None, :, :]
        a = np.where(inside, a, np.where(s_wins, only_s[:, None, :], 0.0))
        b = np.where(inside, b, np.where(s_wins, 0.0, only_t[None, :, :]))
        gain = a * sy[:, None, :] + b * ty[None, :, :]
        flat = gain.reshape(-1, gain.shape[2])
        if keep > 1:
            best, draw = np.argsort(-flat[:, 0])[:keep], 0
        else:
            best, draw = np.argmax(flat, axis=0), np.arange(flat.shape[1])
        k, m = np.unravel_index(best, gain.shape[:2])
        return k, m, a[k, m, draw], b[k, m, draw], flat[best, draw]

    def refine(self, loss: np.ndarray, at: np.ndarray) -> Refined:
        """The continuous optimum for one data set, from several starts.

        Args:
            loss: nats/token, shape (R,).
            at: shares at which the curve is wanted, shape (P,).
        """
        y = self._project(loss)
        k, m, _, _, gains = self._best(loss[:, None], keep=STARTS)
        grid_rss = float(y @ y - gains.max())
        ends = []
        for i, j in zip(k, m, strict=True):
            start = np.array([_theta(self._grid[i]), _theta(self._grid[j])]).ravel()
            bounds = (np.tile(BOUNDS[0], 2), np.tile(BOUNDS[1], 2))
            found = optimize.least_squares(lambda theta: self._solve(theta, y)[1], start, bounds=bounds, max_nfev=60)
            ends.append((2 * found.cost, found.x))
        ends.sort(key=lambda end: end[0])
        (best, theta), (second, _) = ends[:2]
        # Relative to the noise left, or to the whole signal where there is no noise.
        agree = second - best <= 0.01 * best + 1e-4 * float(y @ y)
        curve, coefficients = self._curve(theta, loss, y, at)
        s, t = _shapes(theta)
        return Refined(
            curve=curve,
            shapes=(s, t),
            coefficients=coefficients,
            rss=best,
            converged=bool(agree and best <= grid_rss * (1 + 1e-9) + 1e-18),
        )

    def _solve(self, theta: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Non-negative coefficients for given shapes, and the whitened residual."""
        s, t = _shapes(theta)
        columns = self._project(np.stack([shape(self.rho, *s), shape(1 - self.rho, *t)], axis=1))
        coefficients, _ = optimize.nnls(columns, y)
        return coefficients, columns @ coefficients - y

    def _curve(
        self, theta: np.ndarray, loss: np.ndarray, y: np.ndarray, at: np.ndarray
    ) -> tuple[np.ndarray, tuple[float, float, float]]:
        s, t = _shapes(theta)
        (a, b), _ = self._solve(theta, y)
        measured = a * shape(self.rho, *s) + b * shape(1 - self.rho, *t)
        level = float(self._mean_row @ (loss - measured))
        return level + a * shape(at, *s) + b * shape(1 - at, *t), (level, float(a), float(b))


def _inverse(squares: np.ndarray) -> np.ndarray:
    """1 / squares, and 0 for columns that vanish."""
    present = squares > 1e-12 * squares.max()
    return np.where(present, 1 / np.where(present, squares, 1.0), 0.0)


def _theta(one: tuple[float, float]) -> tuple[float, float]:
    return one[0], float(np.log(one[1]))


def _shapes(theta: np.ndarray) -> tuple[tuple[float, float], tuple[float, float]]:
    """(tail, steepness) of s and of t, from what the optimiser searches."""
    return (float(theta[0]), float(np.exp(theta[1]))), (float(theta[2]), float(np.exp(theta[3])))
