"""The interval of a mean difference between runs of common seeds, with noise of its own size.

How loud a pair is compared with the curve's runs is not known from two or three pairs, so their
ratio has a prior and is integrated.
"""

import numpy as np
from scipy import optimize, special

RATIO_MEDIAN, RATIO_SPREAD = 2.0, 1.5
"""Prior of a pair's noise over a run's: log ratio is normal around log 2 with this deviation.

Two equal runs differ by 1.4 times the noise of one, and the arm or rho = 1 may be louder.
"""
RATIOS = RATIO_MEDIAN * np.exp(RATIO_SPREAD * np.linspace(-2.5, 2.5, 21))
"""Grid of it, evenly spaced in its logarithm."""


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
    pooled = dof * variance + squares / RATIOS**2
    if not pooled.min() > 0:
        return float(differences.mean()), float(differences.mean())
    log_post = -(count - 1) * np.log(RATIOS) - total / 2 * np.log(pooled)
    log_post -= 0.5 * (np.log(RATIOS / RATIO_MEDIAN) / RATIO_SPREAD) ** 2
    weight = np.exp(log_post - log_post.max())
    weight /= weight.sum()
    error = RATIOS * np.sqrt(pooled / total / count)

    # A mixture of Student's t: its quantile is where the mean of their distributions is.
    def beyond(reach: float) -> float:
        return float(weight @ special.stdtr(total, reach / error)) - (1 + level) / 2

    far = float(special.stdtrit(total, (1 + level) / 2) * error.max())
    reach = optimize.root_scalar(beyond, bracket=(0.0, far)).root
    mean = float(differences.mean())
    return mean - reach, mean + reach
