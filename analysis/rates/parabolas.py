"""A parabola in the logarithm of the learning rate for every rho, with bends that know each other.

The model of a run at share r, x octaves from the sweep's own rate, with seed s is

    loss = a[r] + l[r] x + (b + d[r]) x^2 + k x^3 + u[s] + c[r, s] + e

A parabola through four or five rates knows its slope l well and its bend badly, and the best rate
is their ratio. So the bends share a mean b, from which each departs by d ~ N(0, (tau b)^2). Losses
rise faster on one side of the best rate, by as much at all rho: k ~ N(0, (LOPSIDED b)^2). Seeds
shift all their runs by u; runs of one seed at one share may be alike beyond that, because they
have one start and one order of text: c ~ N(0, (omega sigma)^2), which no slope and no bend feels.
e ~ N(0, sigma^2), and kappa times as loud at rho = 1. Neither tau nor omega nor kappa can be told
from a few runs, so they are integrated over a grid with priors, as the noise of a sweep is
(curve/noise.py): for each triple the coefficients are known in closed form (Henderson's mixed model
equations), and the restricted likelihood weighs it.
"""

from dataclasses import dataclass

import numpy as np

from analysis.curve.noise import KAPPAS, log_prior_of_kappa

BEND_SPREADS = np.array([0.03, 0.1, 0.2, 0.35, 0.6, 1.0])
"""Grid of tau: how much bends differ between rho, as a share of their mean."""
BEND_SCALE = 0.5
"""Scale of its half-normal prior: twice the bend elsewhere is rare."""
LOPSIDED = 0.3
"""Prior size of the cubic term as a share of the mean bend, per octave."""
CELL_SPREADS = np.array([0.0, 0.3, 0.6, 1.0, 1.8])
"""Grid of omega: how much runs of one seed and rho are alike, in units of the run noise."""
CELL_SCALE = 1.0
"""Scale of its half-normal prior."""
MIN_WEIGHT = 1e-4
"""Triples of the grid with a smaller share of the posterior are left out."""


@dataclass(frozen=True)
class Parabolas:
    """Coefficients at R values of rho, and B draws of them; losses are in nats/token."""

    rho: np.ndarray
    """Shares, ascending, shape (R,)."""
    coefficients: np.ndarray
    """Of 1, x, x^2 and x^3, x in octaves above the sweep's own rate, shape (4, R)."""
    drawn: np.ndarray
    """Draws of them, shape (4, R, B)."""
    sigma: float
    """Noise of a run below rho = 1, beyond its seed and cell, nats/token."""
    dof: int
    """Degrees of freedom behind it."""


def fit_parabolas(
    loss: np.ndarray,
    octaves: np.ndarray,
    rho: np.ndarray,
    seed: np.ndarray,
    draws: int,
    rng: np.random.Generator,
) -> Parabolas:
    """Fit the parabolas of all rho together.

    Args:
        loss: nats/token of n runs, shape (n,).
        octaves: log2 of their learning rate over the sweep's own, shape (n,).
        rho: their shares, at least three rates at each, shape (n,).
        seed: their seeds, shape (n,).
        draws: how many draws.
        rng: source of random numbers.

    Raises:
        ValueError: there are no more runs than coefficients, so nothing measures the noise.
    """
    shares, at = np.unique(rho, return_inverse=True)
    seeds, of = np.unique(seed, return_inverse=True)
    count = len(shares)
    indicator = np.eye(count)[at]
    square = octaves[:, None] ** 2
    # Seeds are relative to their mean, so that the level is that of all seeds together.
    shifts = np.eye(len(seeds))[of]
    shifts = shifts[:, 1:] - shifts[:, :1]
    fixed = np.hstack([indicator, indicator * octaves[:, None], square, shifts])
    cells = np.unique(at * len(seeds) + of, return_inverse=True)[1]
    random = np.hstack([indicator * square, octaves[:, None] ** 3, np.eye(cells.max() + 1)[cells]])
    design = np.hstack([fixed, random])
    free = fixed.shape[1]
    dof = len(loss) - free
    if dof < 1:
        raise ValueError(f"expected more than {free} runs for {free} coefficients, got {len(loss)}")

    # Large numbers that lie close together would lose digits.
    centre = loss.mean()
    kappa, tau, omega, log_prior = _grid(shares, at)
    scale = np.where(rho == 1, kappa[:, None], 1.0)  # (G, n)
    bend = _bend_over_noise(fixed, random[:, : count + 1], 2 * count, loss - centre)

    # Henderson's equations: the prior of what is random is added to the normal equations. A spread
    # of zero is a tiny one, so that all triples have equations of one shape.
    prior = np.zeros((len(kappa), design.shape[1]))
    prior[:, free : free + count] = 1 / np.maximum(tau * bend, 1e-6)[:, None] ** 2
    prior[:, free + count] = 1 / max(LOPSIDED * bend, 1e-6) ** 2
    prior[:, free + count + 1 :] = 1 / np.maximum(omega, 1e-3)[:, None] ** 2
    weighted = design / scale[:, :, None] ** 2
    normal = weighted.transpose(0, 2, 1) @ design
    diagonal = np.arange(design.shape[1])
    normal[:, diagonal, diagonal] += prior
    inverse = np.linalg.inv(normal)
    right = weighted.transpose(0, 2, 1) @ (loss - centre)
    found = (inverse @ right[:, :, None])[:, :, 0]
    missed = (loss - centre) - found @ design.T
    squares = np.sum((missed / scale) ** 2, axis=1) + np.sum(prior * found**2, axis=1)
    squares = np.maximum(squares, 1e-24)

    # The posterior of the triples: restricted likelihood times priors.
    log_det = 2 * np.log(scale).sum(axis=1) - np.log(prior[:, free:]).sum(axis=1)
    log_post = -0.5 * (log_det + np.linalg.slogdet(normal)[1] + dof * np.log(squares)) + log_prior
    weight = np.exp(log_post - log_post.max())
    kept = weight > MIN_WEIGHT * weight.sum()
    weight = weight[kept] / weight[kept].sum()
    found, inverse, variance = found[kept], inverse[kept], squares[kept] / dof

    # The four coefficients of each rho out of all; the last one is common.
    reading = np.zeros((4 * count, design.shape[1]))
    reading[: 2 * count, : 2 * count] = np.eye(2 * count)
    reading[2 * count : 3 * count, 2 * count] = 1
    reading[2 * count : 3 * count, free : free + count] = np.eye(count)
    reading[3 * count :, free + count] = 1
    each = found @ reading.T  # (G, 4 R)
    each[:, :count] += centre
    roots = np.linalg.cholesky(inverse)

    # Every draw takes its own triple and its own size of the noise.
    triple = rng.choice(len(weight), draws, p=weight)
    size = np.sqrt(variance[triple] * dof / rng.chisquare(dof, draws))
    normal_draws = rng.standard_normal((draws, design.shape[1], 1))
    noise = (roots[triple] @ normal_draws)[:, :, 0] @ reading.T
    drawn = each[triple] + size[:, None] * noise
    return Parabolas(
        rho=shares,
        coefficients=(weight @ each).reshape(4, count),
        drawn=drawn.T.reshape(4, count, draws),
        sigma=float(np.sqrt(weight @ variance)),
        dof=dof,
    )


def _bend_over_noise(fixed: np.ndarray, curves: np.ndarray, at: int, loss: np.ndarray) -> float:
    """Return the mean bend in units of the run noise, both by plain least squares.

    Args:
        fixed: columns of levels, slopes, mean bend and seeds, shape (n, p).
        curves: columns of each bend and of the cubic term, shape (n, R + 1).
        at: which of `fixed` is the mean bend.
        loss: nats/token, shape (n,).
    """
    bend = abs(float(np.linalg.lstsq(fixed, loss, rcond=None)[0][at]))
    both = np.hstack([fixed, curves])
    found, _, rank, _ = np.linalg.lstsq(both, loss, rcond=None)
    squares = float(np.sum((loss - both @ found) ** 2))
    noise = np.sqrt(squares / max(1, len(loss) - rank))
    # Losses without noise leave rounding only, and equations that are nearly singular.
    return bend / max(noise, 1e-4 * bend, 1e-12)


def _grid(shares: np.ndarray, at: np.ndarray) -> tuple[np.ndarray, ...]:
    """Return kappa, tau and omega of every triple, and its log prior, each of shape (G,).

    Args:
        shares: values of rho, ascending.
        at: index of every run's share.
    """
    kappas, log_kappas = np.ones(1), np.zeros(1)
    if shares[-1] == 1:
        kappas, log_kappas = KAPPAS, log_prior_of_kappa(int(np.sum(at == len(shares) - 1)))
    log_taus = -0.5 * (BEND_SPREADS / BEND_SCALE) ** 2 + np.log(np.gradient(BEND_SPREADS))
    log_omegas = -0.5 * (CELL_SPREADS / CELL_SCALE) ** 2 + np.log(np.gradient(CELL_SPREADS))
    kappa, tau, omega = np.meshgrid(kappas, BEND_SPREADS, CELL_SPREADS, indexing="ij")
    log_prior = log_kappas[:, None, None] + log_taus[:, None] + log_omegas
    return kappa.ravel(), tau.ravel(), omega.ravel(), log_prior.ravel()


@dataclass(frozen=True)
class Lowest:
    """The lowest point of curves within the rates that were tried, any shape."""

    octaves: np.ndarray
    """Where it is: log2 of the rate over the sweep's own."""
    loss: np.ndarray
    """The loss there, nats/token."""
    regret: np.ndarray
    """How much lower that is than at the sweep's own rate, never negative."""


def lowest(coefficients: np.ndarray, first: np.ndarray, last: np.ndarray) -> Lowest:
    """Return the lowest point of curves between two rates, without extrapolating.

    Args:
        coefficients: of 1, x, x^2 and x^3, shape (4, ...).
        first: octaves of the smallest rate that was tried, broadcasts with the curves.
        last: octaves of the largest one; the sweep's own rate, 0, lies between them.
    """
    level, slope, bend, cube = coefficients
    # The minimum of the cubic, written so that it is the parabola's if there is no cubic term; a
    # curve that bends down may still turn where the cubic term rules. Without a minimum this is
    # some point, and an end is lower.
    root = np.sqrt(np.maximum(bend**2 - 3 * cube * slope, 0.0))
    up, cubed = bend > 0, cube != 0
    of_parabola = -slope / np.where(up, bend + root, 1.0)
    of_cubic = np.where(cubed, (root - bend) / np.where(cubed, 3 * cube, 1.0), first)
    vertex = np.where(up, of_parabola, of_cubic)
    places = np.stack(np.broadcast_arrays(np.clip(vertex, first, last), first, last))
    losses = level + places * (slope + places * (bend + places * cube))
    best = losses.argmin(axis=0)[None]
    loss = np.take_along_axis(losses, best, axis=0)[0]
    return Lowest(np.take_along_axis(places, best, axis=0)[0], loss, np.maximum(level - loss, 0.0))
