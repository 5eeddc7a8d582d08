"""The gain as a power of the axes: log2 of it is linear in the logarithms of the axes.

A straight line through the gain itself predicts negative gains and calls them 0; the published tiny
sweeps fall from 0.33 to 0.045 nats/token in two doublings of training. The fit is by least squares
of the gains and not of their logarithms, because the noise is that of a loss, and a gain may be
measured as 0: a generalised linear model with a logarithmic link (Nelder & Wedderburn, 1972).
"""

import numpy as np

MIN_LOG, MAX_LOG = np.log2(1e-7), np.log2(10.0)
"""Limits of log2 of a gain in nats/token, so that no draw runs away."""
MAX_STEP = 1.0
"""Largest step of a fitted log2 gain in one round."""
ROUNDS = 60
"""Rounds of the search."""
PRIOR = 1e-6
"""Share of the mean information that keeps a direction in which nothing is known in place."""


def fit_log_gain(columns: np.ndarray, gains: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Fit gains by powers, many data sets at once, by Gauss-Newton steps (Fisher scoring).

    Args:
        columns: design of the law, shape (n, p).
        gains: nats/token, one data set per column, shape (n, B).
        weights: of every condition, shape (n,); 0 leaves one out.

    Returns:
        Coefficients of log2 of the gain, shape (p, B).
    """
    weights = weights / weights.sum()
    root = np.sqrt(weights)[:, None]
    # Least squares of the logarithms is near enough to start from; small gains count as a tenth
    # of the largest, since their logarithm may be anything.
    start = np.maximum(gains, 0.1 * np.maximum(gains.max(axis=0), 1e-5))
    found = np.linalg.lstsq(root * columns, root * np.log2(start))[0]
    for _ in range(ROUNDS):
        fitted = 2.0 ** np.clip(columns @ found, MIN_LOG, MAX_LOG)
        slope = np.log(2) * fitted[:, None, :] * columns[:, :, None]  # (n, p, B)
        information = np.einsum("n,npb,nqb->bpq", weights, slope, slope)
        trace = np.trace(information, axis1=1, axis2=2) / columns.shape[1]
        information += PRIOR * trace[:, None, None] * np.eye(columns.shape[1])
        pull = np.einsum("n,npb,nb->bp", weights, slope, gains - fitted)
        step = np.linalg.solve(information, pull[..., None])[..., 0].T
        # A step that moves any fitted gain by more than a factor of two is cut short.
        reach = np.abs(columns @ step).max(axis=0)
        found = found + step * np.minimum(1.0, MAX_STEP / np.maximum(reach, 1e-12))
        if reach.max() < 1e-9:
            break
    return found


def gain_of(logs: np.ndarray) -> np.ndarray:
    """Return gains in nats/token from their log2, any shape."""
    return 2.0 ** np.clip(logs, MIN_LOG, MAX_LOG)
