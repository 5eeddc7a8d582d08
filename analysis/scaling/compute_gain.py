"""The gain in units of training: how much longer pure MoE trains to reach the best hybrid's loss.

A difference in nats has no price, and a length has one. At a size D of the axis the law of
raw_law.py gives the lowest loss along rho; the compute-equivalent gain is D'/D, with D' the size at
which rho = 1 has that loss. Along an axis of training length or of compute, at equal FLOPs per
token along rho, this is a ratio of training FLOPs.
"""

import numpy as np

from analysis.curve.bootstrap import percentile_interval
from analysis.curve.readings import Interval
from analysis.scaling.raw_law import GRID_POINTS, RawLaw
from analysis.scaling.raw_laws import RawLaws

AXES_OF_COMPUTE = ("tokens_per_active", "budget")
"""Axes along which a doubling is a doubling of training FLOPs or, for one geometry, of tokens."""
MAX_DOUBLINGS = 3.0
"""So far beyond the largest condition pure MoE is followed; a law says little further out."""
STEP = 0.01
"""Doublings between the sizes at which its loss is looked up."""


def compute_gain(raw: RawLaws, position: float) -> Interval | None:
    """Return how many times the training of the best hybrid pure MoE needs for its loss.

    Args:
        raw: the laws over all losses.
        position: log2 of the axis, of the hybrid.

    Returns:
        The median of the laws in play, and limits that hold all of them and their noise. A value or
        upper limit of None means that pure MoE does not get there within MAX_DOUBLINGS of the
        largest condition. None if the axis is none of compute, or if every law is refuted.
    """
    if raw.axis not in AXES_OF_COMPUTE or not raw.in_play:
        return None
    size, end = position - raw.centre, raw.span[1] + MAX_DOUBLINGS
    values = [ratio_of_lengths(raw.laws[i], size, end, raw.lowest) for i in raw.in_play]
    drawn = [ratio_of_lengths(law, size, end, raw.lowest) for laws in raw.draws for law in laws]
    # "higher" picks a law's value as it is: an average with a law that never gets there is none.
    middle = float(np.quantile(values, 0.5, method="higher"))
    found = percentile_interval(middle, np.array([*drawn, *values]), raw.level)
    least = min(found.low, *values) if found.low is not None else None
    most = max(found.high, *values) if found.high is not None else None
    if not raw.has_gain:
        least = 1.0
    return Interval(found.value, _finite(least), _finite(most))


def ratio_of_lengths(law: RawLaw, size: float, end: float, lowest: float) -> float:
    """Return D'/D of one law; infinite if rho = 1 has not got there at `end`.

    Args:
        law: one family, fitted.
        size: log2 of the hybrid's size, from the middle of the conditions.
        end: the last size at which rho = 1 is looked at, at least `size`.
        lowest: smallest rho that a hybrid may have.
    """
    grid = np.linspace(lowest, 1, GRID_POINTS)
    target = float(law.curves(np.full(GRID_POINTS, size), grid).min())
    sizes = np.append(np.arange(size, end, STEP), end)
    losses = law.curves(sizes, np.ones(len(sizes)))
    # A loss that is equal but for rounding is reached.
    reached = np.flatnonzero(losses <= target + 1e-12)
    if not len(reached):
        return float("inf")
    first = int(reached[0])
    if first == 0:
        return 1.0
    before, after = losses[first - 1], losses[first]
    share = float((before - target) / (before - after))
    return float(2.0 ** (sizes[first - 1] + share * (sizes[first] - sizes[first - 1]) - size))


def _finite(value: float | None) -> float | None:
    return value if value is not None and np.isfinite(value) else None
