"""Refit one law to many data sets at once: the draws that other noise would have given.

A search per draw spends its time in calls, not in arithmetic. Here all draws take their steps
together, on c, u, v and the shapes, with the heights solved for at every step (variable projection,
Golub & Pereyra, 1973).
"""

from dataclasses import replace
from itertools import product

import numpy as np

from analysis.curve.forms.many_least_squares import many_least_squares
from analysis.scaling.raw_law import Points, RawLaw, bounds_of, columns_of

ROUNDS = 20
"""Steps that are tried; draws differ little from the data, whose optimum they start from."""
MAX_DATA_SETS = 100
"""Data sets at a time: more would not fit the processor's cache."""
_SUBSETS = np.array([(1, *one) for one in product((1, 0), repeat=3)], dtype=float)
"""Which of E, C, A and B there are: those that a non-negative solution lacks are tried without."""


def refit_law(law: RawLaw, points: Points, losses: np.ndarray) -> tuple[RawLaw, ...]:
    """Fit a law's family to many data sets at the points of another, starting from that law.

    Args:
        law: the family, fitted to data that differ little.
        points: sizes, rho and noise of every data set (n of them).
        losses: the data sets, nats/token, shape (n, B).

    Returns:
        B laws; their p_fit is that of `law`.
    """
    laws: list[RawLaw] = []
    for first in range(0, losses.shape[1], MAX_DATA_SETS):
        y = (points.whiten @ losses[:, first : first + MAX_DATA_SETS]).T
        theta, heights, chi2 = _search(law, points, y)
        laws += [
            replace(law, theta=theta[b], heights=heights[b], chi2=float(chi2[b]))
            for b in range(len(y))
        ]
    return tuple(laws)


def _search(law: RawLaw, points: Points, y: np.ndarray) -> tuple[np.ndarray, ...]:
    """Return parameters (B, p), heights (B, 4) and chi2 (B,) of whitened losses (B, n)."""
    low, high = bounds_of(law.family)
    start = np.tile(np.clip(law.theta, low, high), (len(y), 1))
    theta = many_least_squares(
        lambda theta: _project(law, points, theta, y)[1].T, start, (low, high), ROUNDS
    )
    heights, residual = _project(law, points, theta, y)
    return theta, heights, (residual**2).sum(axis=1)


def _project(
    law: RawLaw, points: Points, theta: np.ndarray, y: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return heights (B, 4) and residuals (B, n) of parameters (B, p)."""
    columns = columns_of(law.family, theta[..., None, :], points.size, points.rho)
    columns = np.einsum("mn,...nk->...mk", points.whiten, columns)
    # A column of zeros has the height 0.
    norm = np.maximum(np.linalg.norm(columns, axis=-2, keepdims=True), 1e-300)
    columns = columns / norm
    gram = np.einsum("...nk,...nl->...kl", columns, columns)
    against = np.einsum("...nk,...n->...k", columns, y)
    heights = _non_negative(gram, against)
    residual = np.einsum("...nk,...k->...n", columns, heights) - y
    return heights / norm[..., 0, :], residual


def _non_negative(gram: np.ndarray, against: np.ndarray) -> np.ndarray:
    """Return the non-negative least squares of four columns, shape (..., 4).

    Args:
        gram: products of the columns, of length one each, shape (..., 4, 4).
        against: their products with the data, shape (..., 4).
    """
    ridge = 1e-12 * np.eye(4)
    found = np.linalg.solve(gram + ridge, against[..., None])[..., 0]
    negative = (found < 0).any(axis=-1)
    if not negative.any():
        return found
    # With every subset of the columns: the best of those without a negative height.
    some, wanted = gram[negative], against[negative]
    pairs = _SUBSETS[:, None, :, None] * _SUBSETS[:, None, None, :]
    absent = np.einsum("sk,kl->skl", 1 - _SUBSETS, np.eye(4))[:, None]
    each = np.linalg.solve(some * pairs + absent + ridge, (wanted * _SUBSETS[:, None])[..., None])
    each = each[..., 0]
    explained = np.einsum("sbk,bk->sb", each, wanted)
    explained[(each < 0).any(axis=-1)] = -np.inf
    best = explained.argmax(axis=0)
    found[negative] = each[best, np.arange(len(best))]
    return found
