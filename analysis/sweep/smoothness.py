"""How much the place of the optimum rests on a smooth curve.

The interval of rho* comes from smooth forms, and no test at the noise of a real sweep tells a
smooth curve from one that turns in a corner between two rho (docs/lab-notebook.md has the bound).
So two things are said beside it: what follows if the loss has a single dip of any shape, and where
a form with corners is lowest if that lies elsewhere.
"""

import numpy as np

from analysis.curve.fit import UCurve, is_tenable
from analysis.curve.forms.corners import fit_corners
from analysis.curve.means import RhoMeans
from analysis.curve.readings import Interval
from analysis.sweep.u_shape_test import above_others

MAX_APART = 0.06
"""A corner's rho may lie so far outside the interval of rho* without being reported.

Chosen by simulation: at 9 rho x 3 seeds it reports a kink in half of the sweeps, and a corner in
2 % of the sweeps of smooth truths (10 % of a parabola's, the worst of them).
"""

ROUNDING = 0.1
"""Standard errors that the last digits of runs without noise may make of nothing."""


def single_dip(means: RhoMeans, errors: np.ndarray, level: float) -> Interval:
    """Return where the lowest rho lies if the loss has a single dip of any shape.

    A measured rho is a candidate for the lowest one if no other is lower beyond noise (Hsu, 1984:
    multiple comparisons with the best; all others at once, so that the candidates hold the lowest
    measured rho with probability `level` or more). A curve with a single dip is lowest between the
    neighbours of its lowest measured rho.

    Args:
        means: the mean losses at R values of rho.
        errors: draws of their error, shape (R, B).
        level: coverage, for example 0.9.
    """
    count = len(means.rho)
    candidates = []
    for one in range(count):
        others = np.delete(np.arange(count), one)
        above, null = above_others(means, errors, one, others)
        if above.max() <= max(float(np.quantile(null, level)), ROUNDING):
            candidates.append(one)
    lowest = int(means.loss.argmin())
    first, last = min([*candidates, lowest]), max([*candidates, lowest])
    low, high = means.rho[max(first - 1, 0)], means.rho[min(last + 1, count - 1)]
    return Interval(float(means.rho[lowest]), float(low), float(high))


def corner_elsewhere(means: RhoMeans, curve: UCurve, rho_star: Interval) -> float | None:
    """Return where a form with corners is lowest; None if it agrees with rho*, or is untenable.

    Args:
        means: the mean losses.
        curve: the smooth fits.
        rho_star: the optimum with the interval that they give it.
    """
    if rho_star.low is None or rho_star.high is None:
        return None
    fit = fit_corners(means, curve.grid)
    rho = float(curve.grid[fit.curve.argmin()])
    apart = max(rho_star.low - rho, rho - rho_star.high)
    return rho if apart > MAX_APART and is_tenable(fit, means) else None
