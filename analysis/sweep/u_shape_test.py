"""Is there a U? Tests that assume no shape of curve.

A U needs one interior rho that beats both ends. Picking the best-looking interior point and testing
it is biased; these tests compare with the largest of all contrasts (Dunnett's many-to-one test),
which holds its level for every curve without such a point: flat, monotone, convex or not.
"""

from dataclasses import dataclass

import numpy as np

from analysis.curve.means import RhoMeans
from analysis.sweep.next_run import MoreRuns, more_runs

POWER_Z = 0.84
"""Standard normal quantile of power 0.8.

A repeat with the advised runs finds a true effect of this size 4 times in 5.
"""


@dataclass(frozen=True)
class UShapeTest:
    """One-sided p-values and what they rest on."""

    p_u: float
    """That no interior rho beats both ends (small: a U is supported)."""
    p_gain: float
    """That no rho beats the largest rho."""
    p_high_worse: float
    """That the largest rho is no worse than the smallest (a single contrast)."""
    p_low_worse: float
    """That the smallest rho is no worse than the largest."""
    best: int
    """Index of the interior rho that beats both ends by most standard errors."""
    statistic: float
    """Those standard errors, for the weaker end."""
    more: MoreRuns | None
    """What would find an effect as large as the one seen with power 0.8 or more.

    Neighbours of the best point help, which is left out here; None if it takes too many runs or if
    the weaker end is not worse at all.
    """


def u_shape_test(means: RhoMeans, errors: np.ndarray, alpha: float) -> UShapeTest:
    """Test for an interior minimum.

    Args:
        means: at least three values of rho and two seeds.
        errors: draws of the error of the means, shape (R, B) (bootstrap.draw_errors).
        alpha: one-sided level that `more` plans for, for example 0.05.
    """
    last = len(means.rho) - 1
    interior = np.arange(1, last)
    # How much every interior point beats its weaker end; the best of them is the statistic.
    left, left_null = above_others(means, errors, 0, interior)
    right, right_null = above_others(means, errors, last, interior)
    weaker = np.minimum(left, right)
    best = int(weaker.argmax())
    statistic = float(weaker[best])
    # Least favourable truths: every interior point ties with one end while the other end is
    # hopeless.
    null = left_null if _share(left_null, statistic) > _share(right_null, statistic) else right_null
    # The ends against all others and against each other, for the gain and for monotone curves.
    gain, gain_null = above_others(means, errors, last, np.arange(last))
    down, down_null = above_others(means, errors, last, np.array([0]))
    up, up_null = above_others(means, errors, 0, np.array([last]))
    more = None
    if statistic > 0 and means.sigma > 0:
        # The variance at which the effect seen would be as many standard errors as are wanted.
        contrast = np.zeros(last + 1)
        contrast[interior[best]] = -1
        contrast[0 if left[best] < right[best] else last] = 1
        standard_errors = float(np.quantile(null, 1 - alpha)) + POWER_Z
        effect = float(contrast @ means.loss)
        more = more_runs(means, contrast, (effect / standard_errors) ** 2)
    return UShapeTest(
        p_u=_share(null, statistic),
        p_gain=_share(gain_null, float(gain.max())),
        p_high_worse=_share(down_null, float(down[0])),
        p_low_worse=_share(up_null, float(up[0])),
        best=int(interior[best]),
        statistic=statistic,
        more=more,
    )


def above_others(
    means: RhoMeans, errors: np.ndarray, one: int, many: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Say by how much one rho lies above others.

    Args:
        means: the means.
        errors: draws of their error, shape (R, B).
        one: index of the one.
        many: indices of the others, shape (M,).

    Returns:
        How many standard errors `one` lies above each of `many`, shape (M,), and draws of the
        largest of these if all were equal, shape (B,).
    """
    cov = means.cov
    variance = cov[one, one] + np.diag(cov)[many] - 2 * cov[one, many]
    # Runs without noise have no error to divide by.
    error = np.sqrt(np.maximum(variance, 1e-24))
    contrasts = (means.loss[one] - means.loss[many]) / error
    null = ((errors[one] - errors[many]) / error[:, None]).max(axis=0)
    return contrasts, null


def _share(null: np.ndarray, statistic: float) -> float:
    """Return the Monte Carlo p-value, never zero."""
    return float((1 + np.sum(null >= statistic)) / (1 + len(null)))
