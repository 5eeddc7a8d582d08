"""What the laws over all losses say together: slopes and predictions as a range over the laws."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from analysis.curve.bootstrap import draw_errors
from analysis.curve.readings import Interval
from analysis.scaling.axes import Axes
from analysis.scaling.law import OptimumAndGain, PerDoubling
from analysis.scaling.law_tests import fit_tested_laws
from analysis.scaling.raw_law import Points, RawLaw, fit_raw_law
from analysis.scaling.refit_law import refit_law
from analysis.sweep.sweep_analysis import BOOTSTRAP_SEED, SweepAnalysis
from analysis.threads import one_thread

MIN_CONDITIONS = 3
"""Sizes that a law needs: its floor, slope and curvature in the size."""
DRAWS = 60
"""Draws of every law: a draw is a search."""
SAME = 0.05
"""Doublings within which two positions are one condition."""
REFUTED_P = 0.01
"""A law whose misses are less probable than this is refuted, and says nothing."""


@dataclass(frozen=True)
class RawLaws:
    """The laws that were fitted to the losses of all conditions."""

    axis: str
    """The axis along which they go."""
    laws: tuple[RawLaw, ...]
    """Every family."""
    in_play: tuple[int, ...]
    """Numbers of those that are not refuted; with none, nothing is predicted."""
    draws: tuple[tuple[RawLaw, ...], ...]
    """Of every law in play, what other noise would have given."""
    centre: float
    """Middle of all conditions, log2 of the axis."""
    sizes: tuple[float, ...]
    """Places on the axis of what they are fitted to, each once, ascending, log2 from the middle."""
    lowest: float
    """Smallest rho of any condition."""
    level: float
    """Nominal coverage of the intervals."""
    errors: tuple[tuple[float, float], ...]
    """For every condition, measured less predicted by the laws of the others: of rho*, and of the
    gain in nats/token; empty if too few would be left."""
    left_out: tuple[float, ...] = ()
    """Conditions too small for any law, log2 of the axis, ascending: with them all are refuted."""
    p_of_all: float | None = None
    """The largest `p_fit` of a law over all conditions, if some are left out."""

    @property
    def span(self) -> tuple[float, float]:
        """Smallest and largest condition, log2 from the middle."""
        return self.sizes[0], self.sizes[-1]

    @property
    def best_p(self) -> float:
        """The largest `p_fit` of a law."""
        return max(law.p_fit or 0.0 for law in self.laws)

    @property
    def has_gain(self) -> bool:
        """Whether no law in play would do without its memory's side."""
        asked = [self.laws[i].p_no_memory for i in self.in_play]
        return all(p is None or p <= (1 - self.level) / 2 for p in asked)

    def leaves_out(self, position: float) -> bool:
        """Return whether a position (log2 of the axis) is among the conditions left out."""
        return any(position < place + SAME for place in self.left_out)

    def predict(self, position: float) -> OptimumAndGain:
        """Return rho* and the gain at a position (log2 of the axis).

        The value is the mean of the laws in play, the interval holds that of every one. It holds
        a gain of 0 if one of them would do without its memory's side: draws of a fitted curve
        have a lowest point by themselves.
        """
        return self.predict_along(np.array([position]))[0]

    def predict_along(self, positions: np.ndarray) -> list[OptimumAndGain]:
        """Return `predict` at many positions (n,), every law read once for all of them."""
        sizes = positions - self.centre
        values = np.array([self.laws[i].optima_and_gains(sizes, self.lowest) for i in self.in_play])
        drawn = np.array(
            [[law.optima_and_gains(sizes, self.lowest) for law in laws] for laws in self.draws]
        )
        found = [
            OptimumAndGain(*_intervals(values[:, i], drawn[:, :, i], self.level))
            for i in range(len(sizes))
        ]
        if self.has_gain:
            return found
        return [replace(one, gain_over_moe=replace(one.gain_over_moe, low=0.0)) for one in found]

    def per_doubling(self) -> PerDoubling:
        """Return the mean change per doubling over the range of the conditions."""
        values = [self._slope(self.laws[i]) for i in self.in_play]
        drawn = [[self._slope(law) for law in laws] for laws in self.draws]
        return PerDoubling(*_intervals(np.array(values), np.array(drawn), self.level))

    def range_of_slopes(self) -> tuple[float, float]:
        """Return the smallest and the largest slope of rho* among the laws in play."""
        slopes = [self._slope(self.laws[i])[0] for i in self.in_play]
        return min(slopes), max(slopes)

    def _slope(self, law: RawLaw) -> tuple[float, float]:
        (low, few), (high, many) = (law.optimum_and_gain(x, self.lowest) for x in self.span)
        doublings = self.span[1] - self.span[0]
        factor = (max(many, 1e-9) / max(few, 1e-9)) ** (1 / doublings)
        return (high - low) / doublings, factor


def why_no_raw_law(axes: Axes, sweeps: Sequence[SweepAnalysis]) -> str | None:
    """Return why no law goes over all losses, in words; None if one can."""
    if len(axes.names) != 1:
        return f"A law over all losses goes along one axis, and {len(axes.names)} vary."
    if len({round(float(x), 2) for x in axes.positions[:, 0]}) < MIN_CONDITIONS:
        return f"A law over all losses needs {MIN_CONDITIONS} values of {axes.names[0]}."
    if any(sweep.means.noise is None for sweep in sweeps):
        return "A law over all losses needs two seeds in every condition."
    if any(sweep.means.sigma == 0 for sweep in sweeps):
        return "A law over all losses weighs them by their noise, and there is none."
    return None


@one_thread
def fit_raw_laws(axes: Axes, sweeps: Sequence[SweepAnalysis], draws: int = DRAWS) -> RawLaws:
    """Fit every family to the losses of all conditions.

    If all of them refute every law, the smallest conditions are left out, one by one, as long as
    there are enough: a power of the size holds over a few doublings at best, and short trainings
    say little of the end. If no such range has a law either, the laws over all are returned.

    Args:
        axes: the one axis along which the conditions lie.
        sweeps: the conditions, with noise.
        draws: draws of every law.

    Raises:
        ValueError: there is a reason against it (why_no_raw_law).
    """
    if (reason := why_no_raw_law(axes, sweeps)) is not None:
        raise ValueError(reason)
    sizes = axes.positions[:, 0] - float(axes.centre[0])
    places = _once(sizes)
    whole = _fit(axes, sizes, sweeps, draws)
    for first in range(1, len(places) - MIN_CONDITIONS + 1):
        if whole.in_play:
            break
        kept = np.round(sizes, 2) >= round(places[first], 2)
        longest = [one for one, here in zip(sweeps, kept, strict=True) if here]
        found = _fit(axes, sizes[kept], longest, draws)
        if found.in_play:
            left_out = tuple(size + whole.centre for size in places[:first])
            return replace(found, left_out=left_out, p_of_all=whole.best_p)
    return whole


def _fit(axes: Axes, sizes: np.ndarray, sweeps: Sequence[SweepAnalysis], draws: int) -> RawLaws:
    """Fit every family to some conditions at their sizes, log2 from the middle of all."""
    points = _points(sizes, sweeps)
    laws, in_play = fit_tested_laws(points, REFUTED_P)
    rng = np.random.default_rng(BOOTSTRAP_SEED)
    errors = np.concatenate([_errors(sweep, draws, rng) for sweep in sweeps])
    drawn = tuple(refit_law(laws[i], points, points.loss[:, None] + errors) for i in in_play)
    lowest = min(float(sweep.means.rho[0]) for sweep in sweeps)
    return RawLaws(
        axis=axes.names[0],
        laws=laws,
        in_play=in_play,
        draws=drawn,
        centre=float(axes.centre[0]),
        sizes=_once(sizes),
        lowest=lowest,
        level=sweeps[0].level,
        errors=_held_out(sizes, sweeps, [laws[i] for i in in_play], lowest),
    )


def _once(sizes: np.ndarray) -> tuple[float, ...]:
    """Return sizes ascending, those that differ by a hundredth of a doubling once."""
    _, first = np.unique(np.round(sizes, 2), return_index=True)
    return tuple(float(size) for size in sizes[first])


def _points(sizes: np.ndarray, sweeps: Sequence[SweepAnalysis]) -> Points:
    """Return the losses of all conditions with their covariance."""
    total = sum(len(sweep.means.rho) for sweep in sweeps)
    whiten, start = np.zeros((total, total)), 0
    for sweep in sweeps:
        here = slice(start, start := start + len(sweep.means.rho))
        # Means are relative to the seeds of their condition, which differ between conditions.
        cov = sweep.means.cov + _level_sd(sweep) ** 2
        whiten[here, here] = np.linalg.inv(np.linalg.cholesky(cov))
    return Points(
        size=np.repeat(sizes, [len(sweep.means.rho) for sweep in sweeps]),
        rho=np.concatenate([sweep.means.rho for sweep in sweeps]),
        loss=np.concatenate([sweep.means.loss for sweep in sweeps]),
        whiten=whiten,
        dof=sum(sweep.means.dof for sweep in sweeps),
    )


def _level_sd(sweep: SweepAnalysis) -> float:
    """Return how far the seeds of a condition are from those of others, nats/token."""
    assert sweep.means.noise is not None
    return sweep.means.noise.shift_sd / np.sqrt(sweep.means.seeds)


def _errors(sweep: SweepAnalysis, draws: int, rng: np.random.Generator) -> np.ndarray:
    """Draw errors of the losses of one condition, shape (R, draws)."""
    level = _level_sd(sweep) * rng.standard_normal(draws)
    return draw_errors(sweep.means, draws, rng) + level


def _held_out(
    sizes: np.ndarray, sweeps: Sequence[SweepAnalysis], laws: Sequence[RawLaw], lowest: float
) -> tuple[tuple[float, float], ...]:
    """Return for every condition what the laws of the others miss it by, on average over laws."""
    if len(sweeps) <= MIN_CONDITIONS or not laws:
        return ()
    found = []
    for i, sweep in enumerate(sweeps):
        others = [one for j, one in enumerate(sweeps) if j != i]
        points = _points(np.delete(sizes, i), others)
        said = [
            fit_raw_law(law.family, points).optimum_and_gain(float(sizes[i]), lowest)
            for law in laws
        ]
        measured = np.array([sweep.rho_star.value, sweep.gain_over_moe.value], dtype=float)
        rho_star, gain = measured - np.mean(said, axis=0)
        found.append((float(rho_star), float(gain)))
    return tuple(found)


def _intervals(values: np.ndarray, drawn: np.ndarray, level: float) -> tuple[Interval, Interval]:
    """Return intervals that hold the interval of every law by itself.

    Only one of the laws can be right, and which one is not known: percentiles of all draws together
    would cut off what the right one leaves open.

    Args:
        values: two quantities of every law, shape (laws, 2).
        drawn: the same of every draw, shape (laws, draws, 2).
        level: nominal coverage.
    """
    ends = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2], axis=1)
    low = np.minimum(ends[0], values).min(axis=0)
    high = np.maximum(ends[1], values).max(axis=0)
    first, second = (
        Interval(float(v), float(a), float(b))
        for v, a, b in zip(values.mean(axis=0), low, high, strict=True)
    )
    return first, second
