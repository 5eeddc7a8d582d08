"""What one arm gains over another at equal table sizes, paired by seed.

A table of differences (sizes x seeds) has noise of two kinds: a shift that all sizes of a seed
share, and the rest. An analysis of variance keeps them apart: a mean over sizes has the noise of
the shifts, a slope along sizes only the rest, and one size both.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import special

from analysis.curve.readings import Interval


@dataclass(frozen=True)
class PairedGains:
    """Loss of another arm minus this arm's, nats/token; positive if this arm is better.

    Limits are for the validation set as it is, and None with fewer than two seeds.
    """

    arm: str
    """Key of the arm."""
    over: str
    """Key of the other."""
    rows: np.ndarray
    """Table sizes at which both have runs, ascending, shape (I,)."""
    seeds: int
    """Seeds that have every one of these runs; the others are left out."""
    at_size: tuple[Interval, ...]
    """Gain at each size."""
    mean: Interval
    """Its mean over the sizes."""
    slope: Interval
    """Its change per doubling of the size; all None with one size."""


def paired_gains(
    arm: str, over: str, losses: pd.DataFrame, others: pd.DataFrame | pd.Series, level: float
) -> PairedGains | None:
    """Compare two arms.

    Args:
        arm: key of the arm.
        over: key of the other.
        losses: of the arm, nats/token, sizes (ascending) x seeds; NaN without a run.
        others: of the other arm, alike; or by seed only, the same at every size.
        level: coverage of the intervals.

    Returns:
        The gains; None if no size has a seed in both.
    """
    if isinstance(others, pd.Series):
        others = pd.DataFrame([others] * len(losses), index=losses.index)
    gains = (others - losses).dropna(how="all").dropna(axis=1, how="any")
    if gains.empty:
        return None
    table = gains.to_numpy(float)
    sizes, seeds = table.shape
    rows = gains.index.to_numpy(float)
    at, mean = table.mean(axis=1), float(table.mean())

    # Two mean squares: of seeds (a shift of all sizes, sizes times over), and of what is left.
    shifts = table.mean(axis=0) - mean
    rest = table - at[:, None] - shifts
    of_seeds, of_rest = seeds - 1, (sizes - 1) * (seeds - 1)
    ms_seeds = sizes * float(shifts @ shifts) / of_seeds if of_seeds else np.nan
    ms_rest = float((rest**2).sum()) / of_rest if of_rest else np.nan
    # One size has a share of each; its degrees of freedom are Satterthwaite's.
    parts = np.array([ms_seeds / sizes, (sizes - 1) / sizes * ms_rest if of_rest else 0.0])
    dof = parts.sum() ** 2 / (parts**2 / [max(of_seeds, 1), max(of_rest, 1)]).sum()
    slope = Interval(None, None, None)
    if sizes > 1:
        centred = np.log2(rows) - np.log2(rows).mean()
        weights = centred / (centred @ centred)
        spread = float(weights @ weights) * ms_rest / seeds
        slope = _interval(float(weights @ at), spread, of_rest, level)
    return PairedGains(
        arm=arm,
        over=over,
        rows=rows,
        seeds=seeds,
        at_size=tuple(_interval(float(one), parts.sum() / seeds, dof, level) for one in at),
        mean=_interval(mean, ms_seeds / (sizes * seeds), of_seeds, level),
        slope=slope,
    )


def _interval(value: float, variance: float, dof: float, level: float) -> Interval:
    """Return a Student-t interval; limits are None if nothing measures the variance."""
    if not np.isfinite(variance):
        return Interval(value, None, None)
    # Losses that are all equal have no noise and no degrees of freedom of it.
    dof = dof if np.isfinite(dof) else 1.0
    reach = float(special.stdtrit(dof, (1 + level) / 2) * np.sqrt(variance))
    return Interval(value, value - reach, value + reach)
