"""Two tests of a fitted law: whether it holds where it is read, and whether there is any gain.

The test of all misses at once spreads over many losses what a wrong law does at one end, and a law
that is wrong at the longest length is wrong about everything that is asked of it. And a fitted
curve has a lowest point whether the truth has one or not, so the gain of a law is never negative
and that of its draws hardly ever 0.
"""

from dataclasses import replace

import numpy as np
from scipy import special

from analysis.scaling.raw_law import (
    FAMILIES,
    Points,
    RawLaw,
    columns_of,
    fit_raw_law,
    least_squares,
)

STEP = 1e-5
"""Step of the derivatives, in units of c, u, v and the shapes."""
MIN_SHARES = 3
"""Different rho that the longest length needs for a bend of its own."""


def fit_tested_laws(points: Points, refuted_p: float) -> tuple[tuple[RawLaw, ...], tuple[int, ...]]:
    """Fit every family, and ask those that are not refuted whether there is a gain.

    Args:
        points: losses of all sizes.
        refuted_p: a law whose misses, of all losses or at the largest size, are less probable than
            this is refuted.

    Returns:
        The laws, and the numbers of those in play, which know their `p_no_memory`.
    """
    found, in_play = [], []
    for i, family in enumerate(FAMILIES):
        law = fit_raw_law(family, points)
        misses = (law.p_fit, p_at_largest(law, points))
        if all(p is None or p > refuted_p for p in misses):
            in_play.append(i)
            law = replace(law, p_no_memory=p_no_memory(law, points))
        found.append(law)
    return tuple(found), tuple(in_play)


def p_at_largest(law: RawLaw, points: Points) -> float | None:
    """Return how probable it is that the largest size misses a law by noise only.

    A score test (Rao, 1948) against a law to which the largest size adds a parabola in rho of its
    own; None if it has too few rho, or there is no noise to hold it against.

    Args:
        law: fitted to the points.
        points: losses of all sizes.
    """
    largest = np.isclose(points.size, points.size.max())
    if len(set(points.rho[largest])) < MIN_SHARES or points.dof <= 0:
        return None
    # What moving the law's own parameters does to the losses.
    moved = law.theta + STEP * np.eye(len(law.theta))[:, None]
    own = columns_of(law.family, law.theta, points.size, points.rho)
    turned = columns_of(law.family, moved, points.size, points.rho) @ law.heights
    tangents = np.column_stack([own, (turned - own @ law.heights).T / STEP])
    # What the parabola does beyond that.
    parabola = largest[:, None] * np.vander(points.rho, 3)
    tangents, parabola = points.whiten @ tangents, points.whiten @ parabola
    beyond = parabola - tangents @ np.linalg.lstsq(tangents, parabola, rcond=1e-8)[0]
    directions, sizes, _ = np.linalg.svd(beyond, full_matrices=False)
    directions = directions[:, sizes > 1e-6 * np.linalg.norm(parabola)]
    if not directions.shape[1]:
        return None
    miss = points.whiten @ (points.loss - own @ law.heights)
    score = float(((directions.T @ miss) ** 2).sum()) / directions.shape[1]
    return float(special.fdtrc(directions.shape[1], points.dof, score))


def p_no_memory(law: RawLaw, points: Points) -> float | None:
    """Return how probable the losses are if a memory takes nothing off the loss at any size.

    An F test of the law against itself without the memory's side. Without it v and the shape of t
    mean nothing and count as free, which makes the test hold or be cautious.

    Args:
        law: fitted to the points.
        points: losses of all sizes.
    """
    if law.spare <= 0 or points.dof <= 0:
        return None
    _, _, without = least_squares(law.family, points, terms=3)
    freed = 2 + len(law.family.bounds)
    # Misses beyond the noise are the law's, and are no evidence for its memory.
    scale = max(1.0, law.chi2 / law.spare)
    score = max(0.0, without - law.chi2) / freed / scale
    return float(special.fdtrc(freed, points.dof, score))
