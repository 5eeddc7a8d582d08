"""What more runs would be worth: where the next one goes, and how many a finding needs.

A run of a new seed at one rho is an observation with its own noise and its seed's shift; a whole
seed is one at every rho that share a shift. What they leave of a variance follows from the
covariance of the means (what they would tell of the noise itself is left out).
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from analysis.curve.means import RhoMeans
from analysis.curve.noise import SweepNoise

MAX_MORE_RUNS = 60
"""If more runs would be needed, nothing is advised by number."""


@dataclass(frozen=True)
class NextRun:
    """The run that lowers the variance of the gain most."""

    rho: float
    """Where it is trained."""
    share: float
    """The share of that variance which it removes."""


@dataclass(frozen=True)
class MoreRuns:
    """What would let a repeat find an effect of the size seen."""

    place: Literal["anchor", "seeds"]
    """Runs at rho = 1 only (`sweep.anchor_seeds`), or whole seeds (`sweep.seeds`)."""
    count: int
    """How many of them."""


def next_run(means: RhoMeans, errors: np.ndarray, gains: np.ndarray) -> NextRun | None:
    """Return where one more run of a new seed tells most of the gain.

    Args:
        means: the means, with noise.
        errors: draws of their error, shape (R, B).
        gains: the gain read off the curve of each draw, nats/token, shape (B,).

    Returns:
        The run; None if the draws do not move the gain.
    """
    if means.noise is None or means.sigma == 0 or np.ptp(gains) == 0:
        return None
    # How the gain follows the means, forms and bends of the curve included, on average over draws.
    centred = errors - errors.mean(axis=1, keepdims=True)
    slope = np.linalg.lstsq(centred.T, gains - gains.mean())[0]
    before = slope @ means.cov @ slope
    one = _new_seed(means.noise, means.rho)
    left = [slope @ _after(means.cov, one, [at]) @ slope for at in range(len(means.rho))]
    best = int(np.argmin(left))
    return NextRun(float(means.rho[best]), float(1 - left[best] / before))


def more_runs(means: RhoMeans, contrast: np.ndarray, wanted: float) -> MoreRuns | None:
    """Return the cheapest way to bring the variance of a contrast down.

    Args:
        means: the means, with noise.
        contrast: weights of the means, shape (R,).
        wanted: variance to reach, (nats/token)^2.

    Returns:
        Runs at rho = 1 or whole seeds, whichever trains fewer runs; None if both need more than
        MAX_MORE_RUNS.
    """
    assert means.noise is not None
    one = _new_seed(means.noise, means.rho)
    points = list(range(len(means.rho)))
    ways: list[tuple[Literal["anchor", "seeds"], list[int]]] = [("seeds", points)]
    if means.rho[-1] == 1:
        ways.append(("anchor", points[-1:]))
    found = []
    for place, rows in ways:
        cov = means.cov
        for count in range(1, MAX_MORE_RUNS // len(rows) + 1):
            cov = _after(cov, one, rows)
            if contrast @ cov @ contrast <= wanted:
                found.append((count * len(rows), MoreRuns(place, count)))
                break
    return min(found, key=lambda way: way[0])[1] if found else None


def _new_seed(noise: SweepNoise, rho: np.ndarray) -> np.ndarray:
    """Return the covariance of the runs of one more seed around the means, shape (R, R)."""
    own = np.where(rho == 1, noise.anchor_sigma, noise.sigma) ** 2
    return np.diag(own) + noise.shift_sd**2


def _after(cov: np.ndarray, one: np.ndarray, rows: list[int]) -> np.ndarray:
    """Return the covariance of the means once a new seed has runs at `rows`."""
    seen = cov[:, rows]
    return cov - seen @ np.linalg.solve((cov + one)[np.ix_(rows, rows)], seen.T)
