"""Is there a U? Tests that assume no shape of curve.

A U needs one interior rho that beats both ends. Picking the best-looking interior point and testing
it is biased; these tests compare with the largest of all contrasts (Dunnett's many-to-one test),
which holds its level for every curve without such a point: flat, monotone, convex or not.
"""

from dataclasses import dataclass

import numpy as np

from analysis.curve.means import RhoMeans

POWER_Z = (
    0.84  # a repeat with the advised number of seeds finds a true effect of this size 4 times in 5
)


@dataclass(frozen=True)
class UTest:
    """One-sided p-values and what they rest on.

    Attributes:
        p_u: that no interior rho beats both ends (small: a U is supported).
        p_gain: that no rho beats the largest rho.
        p_high_worse: that the largest rho is no worse than the smallest (a single contrast).
        p_low_worse: that the smallest rho is no worse than the largest.
        best: index of the interior rho that beats both ends by most standard errors.
        statistic: those standard errors, for the weaker end.
        seeds_needed: seeds at which an effect as large as the one seen would be found with power
            0.8 or more (neighbours of the best point help, which is left out here); inf where the
            weaker end is not worse at all.
    """

    p_u: float
    p_gain: float
    p_high_worse: float
    p_low_worse: float
    best: int
    statistic: float
    seeds_needed: float


def u_test(means: RhoMeans, errors: np.ndarray, alpha: float) -> UTest:
    """Tests for an interior minimum.

    Args:
        means: at least three values of rho and two seeds.
        errors: draws of the error of the means, shape (R, B) (bootstrap.draw_errors).
        alpha: one-sided level that `seeds_needed` plans for.
    """
    last = len(means.rho) - 1
    interior = np.arange(1, last)
    left, left_null = _many_to_one(means, errors, 0, interior)
    right, right_null = _many_to_one(means, errors, last, interior)
    weaker = np.minimum(left, right)
    best = int(weaker.argmax())
    statistic = float(weaker[best])
    # Least favourable truths: every interior point ties with one end while the other end is
    # hopeless.
    null = left_null if _share(left_null, statistic) > _share(right_null, statistic) else right_null
    gain, gain_null = _many_to_one(means, errors, last, np.arange(last))
    down, down_null = _many_to_one(means, errors, last, np.array([0]))
    up, up_null = _many_to_one(means, errors, 0, np.array([last]))
    wanted = float(np.quantile(null, 1 - alpha)) + POWER_Z
    return UTest(
        p_u=_share(null, statistic),
        p_gain=_share(gain_null, float(gain.max())),
        p_high_worse=_share(down_null, float(down[0])),
        p_low_worse=_share(up_null, float(up[0])),
        best=int(interior[best]),
        statistic=statistic,
        seeds_needed=means.seeds * (wanted / statistic) ** 2 if statistic > 0 else float("inf"),
    )


def _many_to_one(
    means: RhoMeans, errors: np.ndarray, one: int, many: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """How many standard errors `one` lies above each of `many`, and draws of the largest if all were equal."""
    cov = means.cov
    variance = cov[one, one] + np.diag(cov)[many] - 2 * cov[one, many]
    error = np.sqrt(np.maximum(variance, 1e-24))  # noise-free tables have none
    contrasts = (means.loss[one] - means.loss[many]) / error
    null = ((errors[one] - errors[many]) / error[:, None]).max(axis=0)
    return contrasts, null


def _share(null: np.ndarray, statistic: float) -> float:
    """Monte Carlo p-value, never zero."""
    return float((1 + np.sum(null >= statistic)) / (1 + len(null)))
