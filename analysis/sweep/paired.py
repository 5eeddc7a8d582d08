"""The interval of a mean difference between runs of common seeds, with noise of its own size.

How loud a pair is compared with the curve's runs is not known from two or three pairs, so their
ratio has the prior of the anchor's noise (curve.noise) and is integrated.
"""

import numpy as np
from scipy import optimize, special

from analysis.curve.noise import KAPPA_MEDIAN, KAPPA_SPREAD, KAPPAS


def paired_limits(
    differences: np.ndarray, variance: float, dof: int, level: float
) -> tuple[float, float]:
    """Return limits of the mean of differences.

    Args:
        differences: one per seed, nats/token, shape (S,).
        variance: of a run of the curve, (nats/token)^2.
        dof: degrees of freedom behind it, at least 1.
        level: coverage, for example 0.9.
    """
    count = len(differences)
    squares = float(((differences - differences.mean()) ** 2).sum())
    total = dof + count - 1
    # Both sums of squares measure sigma once the ratio is given; sigma is integrated exactly.
    pooled = dof * variance + squares / KAPPAS**2
    if not pooled.min() > 0:
        return float(differences.mean()), float(differences.mean())
    log_post = -(count - 1) * np.log(KAPPAS) - total / 2 * np.log(pooled)
    log_post -= 0.5 * (np.log(KAPPAS / KAPPA_MEDIAN) / KAPPA_SPREAD) ** 2
    weight = np.exp(log_post - log_post.max())
    weight /= weight.sum()
    error = KAPPAS * np.sqrt(pooled / total / count)

    # A mixture of Student's t: its quantile is where the mean of their distributions is.
    def beyond(reach: float) -> float:
        return float(weight @ special.stdtr(total, reach / error)) - (1 + level) / 2

    far = float(special.stdtrit(total, (1 + level) / 2) * error.max())
    reach = optimize.root_scalar(beyond, bracket=(0.0, far)).root
    mean = float(differences.mean())
    return mean - reach, mean + reach
