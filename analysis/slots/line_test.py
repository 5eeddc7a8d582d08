"""Whether a line in log M holds, and over which sizes."""

from dataclasses import dataclass

import numpy as np

from analysis.curve.bootstrap import percentile_interval
from analysis.curve.means import RhoMeans
from analysis.curve.readings import Interval
from analysis.slots.laws import SaturatingLaw, SizeLaws

MIN_SIZES = 4
"""Table sizes below which a bend is not tested: the saturating law alone has four parameters."""
MIN_ON_A_LINE = 3
"""Sizes that a range has at least in which a line is said to hold: two are on one always."""
REJECTED = 0.05
"""A line is rejected if a bend as large comes from noise less often."""


@dataclass(frozen=True)
class LineTest:
    """A line against the saturating law."""

    p_bend: float
    """p that noise alone bends a line as much (likelihood ratio, simulated under the line)."""
    p_misfit: float
    """p that noise alone leaves as much beside a line, of any shape."""
    first_slope: Interval
    """Slope of the better law at the smallest size, nats/token per doubling."""
    last_slope: Interval
    """The same at the largest size."""
    law: SaturatingLaw | None
    """The nearest saturating law; None if the loss does not fall."""
    holds: tuple[float, float] | None
    """Smallest and largest size of the widest range without a bend; None if there is none."""

    @property
    def rejected(self) -> bool:
        """Whether a line over all sizes is rejected."""
        return self.p_bend < REJECTED


def judge_line(
    rows: np.ndarray, means: RhoMeans, errors: np.ndarray, level: float
) -> LineTest | None:
    """Test a line in log M.

    Args:
        rows: table sizes M, ascending, shape (I,).
        means: of the losses at those sizes.
        errors: draws of how far these are off, nats/token, shape (I, B).
        level: coverage of the intervals.

    Returns:
        The test; None with fewer than `MIN_SIZES` sizes or without draws.
    """
    if len(rows) < MIN_SIZES or not errors.shape[1]:
        return None
    laws, loss = SizeLaws(rows, means.unit_cov), means.loss[:, None]
    slopes, drawn = laws.end_slopes(loss)[:, 0], laws.end_slopes(loss + errors)
    first, last = (
        percentile_interval(slope, draws, level) for slope, draws in zip(slopes, drawn, strict=True)
    )
    return LineTest(
        p_bend=_p_bend(laws, loss, errors),
        p_misfit=_share(laws.line_misfit(errors), laws.line_misfit(loss)[0]),
        first_slope=first,
        last_slope=last,
        law=laws.saturating(means.loss),
        holds=_widest_line(rows, means, errors),
    )


def _p_bend(laws: SizeLaws, loss: np.ndarray, errors: np.ndarray) -> float:
    """Simulate the fitted line with the noise of the means, both laws fitted to every draw."""
    return _share(laws.bend(laws.line(loss) + errors), laws.bend(loss)[0])


def _share(null: np.ndarray, found: float) -> float:
    """Return the p-value of a statistic from its draws; one more stands for what was found."""
    return float((1 + (null >= found).sum()) / (1 + len(null)))


def _widest_line(
    rows: np.ndarray, means: RhoMeans, errors: np.ndarray
) -> tuple[float, float] | None:
    """Return the widest run of neighbouring sizes whose bend is not rejected, in doublings."""
    starts = range(len(rows) - MIN_ON_A_LINE + 1)
    ranges = [
        slice(start, end) for start in starts for end in range(start + MIN_ON_A_LINE, len(rows) + 1)
    ]
    for part in sorted(ranges, key=lambda part: -rows[part][-1] / rows[part][0]):
        laws = SizeLaws(rows[part], means.unit_cov[part, part])
        if _p_bend(laws, means.loss[part, None], errors[part]) >= REJECTED:
            return float(rows[part][0]), float(rows[part][-1])
    return None
