"""The joint fit: how rho* and the gain move along the axes, and what a new condition would show.

Every condition has its own curve (curve.fit), level and shape included; of what is read off the
curves, rho* is linear in the logarithms of the axes and the gain over rho = 1 is a power of them
(log_gain.py). Intervals are percentiles of the curves' own bootstrap (curve.bootstrap), every draw
fitted again. By how much
conditions scatter around the law beyond noise is estimated from their distances to it and added,
Student-t for the few of them.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from analysis.curve.readings import Interval
from analysis.runs.conditions import Condition, labels
from analysis.scaling.axes import Axes, axes_of
from analysis.scaling.condition_noise import draw_errors_of_conditions, inverse_variances
from analysis.scaling.readings_law import ScalingLaw
from analysis.sweep.sweep_analysis import BOOTSTRAP_SEED, SweepAnalysis
from analysis.threads import one_thread

DRAWS = 500
"""Curves of every condition; its own analysis has spent more on its own intervals."""
QUANTITIES = ("rho_star", "gain_over_moe")
MAX_EXPONENT = 10.0
"""Limit of a drawn exponent of the gain: beyond a factor of 1000 per doubling nothing is known."""


@dataclass(frozen=True)
class OptimumAndGain:
    """The two quantities of a condition."""

    rho_star: Interval
    """Share of the lowest loss."""
    gain_over_moe: Interval
    """Loss at rho = 1 minus the lowest, nats/token."""


@dataclass(frozen=True)
class PerDoubling:
    """How the two quantities change when an axis doubles."""

    rho_star: Interval
    """Change of the share of the lowest loss."""
    gain_factor: Interval
    """Factor of the gain."""


@dataclass(frozen=True)
class HeldOut:
    """One condition against the law of the others."""

    predicted: OptimumAndGain
    """What the law of the others says, with the noise behind it."""
    error: tuple[float, float]
    """Measured minus predicted: of rho*, and of the gain in nats/token."""


@dataclass(frozen=True)
class ScalingFit:
    """What several conditions say together."""

    labels: tuple[str, ...]
    """Names of the conditions."""
    sweeps: tuple[SweepAnalysis, ...]
    """Each by itself."""
    law: ScalingLaw
    """Both quantities along the axes."""
    level: float
    """Nominal coverage of every interval."""
    spare: int
    """Conditions beyond the parameters that the law spends on each quantity; with 0 nothing
    tests it."""
    p_law: tuple[float | None, float | None]
    """p that rho*, and the gain, miss the law by noise only; None without spare conditions or
    noise."""
    scatter: tuple[float, float]
    """Standard deviation of conditions around the law beyond noise: of rho*, and of the gain in
    nats/token."""
    held_out: tuple[HeldOut, ...]
    """One per condition; empty if too few are left without one."""

    @property
    def axes(self) -> Axes:
        """Where the conditions lie, and which axes are identified."""
        return self.law.axes

    @cached_property
    def at_conditions(self) -> tuple[OptimumAndGain, ...]:
        """The law where it was trained, with the interval of a new condition there."""
        return tuple(self.predict(position) for position in self.axes.positions)

    @cached_property
    def slopes(self) -> dict[str, PerDoubling]:
        """Change per doubling, by axis."""
        centre = self.axes.row(self.axes.centre)
        here = self.law.at(centre)[0]
        found = {}
        for k, name in enumerate(self.axes.names):
            unit = np.eye(len(centre))[1 + k]
            # rho* one doubling from the centre less rho* there; of the gain the exponent itself,
            # with the scatter of conditions in proportion to the gain at the centre.
            value, errors = self.law.at(unit)
            exponent = self.law.gain_coefficients[1 + k]
            if errors is None:
                rho_star = Interval(float(value[0]), None, None)
                factor = Interval(float(2 ** exponent[0]), None, None)
            else:
                spread = self._scatter_along(unit, 0.0, errors.shape[1])
                relative = spread[1] / (np.log(2) * here[1])
                rho_star = _percentiles(value[0], value[0] + errors[0] + spread[0], self.level)
                drawn = 2 ** np.clip(exponent[1:] + relative, -MAX_EXPONENT, MAX_EXPONENT)
                factor = _percentiles(2 ** exponent[0], drawn, self.level)
            found[name] = PerDoubling(rho_star, factor)
        return found

    def _scatter_along(self, row: np.ndarray, own_scatter: float, draws: int) -> np.ndarray:
        """Return draws of what the scatter of conditions adds along a row, shape (2, draws)."""
        columns = self.axes.columns
        reach = np.sqrt(own_scatter + row @ np.linalg.inv(columns.T @ columns) @ row)
        t = np.random.default_rng(BOOTSTRAP_SEED).standard_t(max(self.spare, 1), draws)
        return reach * np.array(self.scatter)[:, None] * t

    def predict(self, position: np.ndarray) -> OptimumAndGain:
        """Return the expectation at a position (Axes.place), with a new condition's interval."""
        row = self.axes.row(position)
        free = self.along(row, own_scatter=1.0)
        rho_star, gain = free.rho_star, free.gain_over_moe
        # A minimum is never above the end: draws alone would claim a gain everywhere. One condition
        # must have found it.
        alpha = (1 - self.level) / 2 / len(self.sweeps)
        found = any(sweep.test is not None and sweep.test.p_gain < alpha for sweep in self.sweeps)
        return OptimumAndGain(
            _clipped(rho_star, min(sweep.means.rho[0] for sweep in self.sweeps), 1.0),
            _clipped(gain if found or gain.low is None else replace(gain, low=0.0), 0.0, np.inf),
        )

    def along(self, row: np.ndarray, own_scatter: float) -> OptimumAndGain:
        """Return the law along a row of the design, shape (1 + k,).

        Args:
            row: axes.Axes.row of a position.
            own_scatter: 1 for a new condition, which scatters around the law; 0 for the law itself.
        """
        value, errors = self.law.at(row)
        if errors is not None:
            errors = errors + self._scatter_along(row, own_scatter, errors.shape[1])
        return _reading(value, errors, self.level)


def why_no_law(sweeps: Sequence[SweepAnalysis], names: Sequence[str]) -> str | None:
    """Return why the conditions cannot be fitted together, in words; None if they can."""
    if len(sweeps) < 2:
        return (
            "One condition cannot show how rho* and the gain depend on compute, sparsity or "
            "length of training."
        )
    for sweep, name in zip(sweeps, names, strict=True):
        if not sweep.has_moe:
            return f"No joint fit: {name} has no loss at rho = 1."
    return None


@one_thread
def scaling(
    conditions: Sequence[Condition], sweeps: Sequence[SweepAnalysis], draws: int = DRAWS
) -> ScalingFit:
    """Fit one law to several conditions.

    Args:
        conditions: at least two.
        sweeps: the same, each analysed by itself at one level and delta, all with runs at rho = 1.
        draws: bootstrap draws.

    Raises:
        ValueError: there is a reason against it (why_no_law).
    """
    names = labels(conditions)
    if (reason := why_no_law(sweeps, names)) is not None:
        raise ValueError(reason)
    axes = axes_of(conditions)
    measured = np.array([[s.rho_star.value, s.gain_over_moe.value] for s in sweeps], dtype=float).T
    errors = draw_errors_of_conditions(sweeps, draws)
    law = ScalingLaw(axes, inverse_variances(errors, len(sweeps)), measured, errors)
    spare = len(sweeps) - 1 - len(axes.names)
    # Without a spare condition or a repeated seed nothing tests the law.
    p_law: tuple[float | None, float | None] = (None, None)
    scatter = (0.0, 0.0)
    if errors is not None and spare:
        p_law, scatter = _p_law(law), _scatter(law, spare)
    return ScalingFit(
        labels=tuple(names),
        sweeps=tuple(sweeps),
        law=law,
        level=sweeps[0].level,
        spare=spare,
        p_law=p_law,
        scatter=scatter,
        held_out=_held_out(law, sweeps[0].level),
    )


def _p_law(law: ScalingLaw) -> tuple[float | None, float | None]:
    """Return the p of the law by simulation.

    The weighted squares of the distances are compared with those that noise alone would cause.
    """
    off, drawn = law.distances()
    assert drawn is not None
    found = (law.weights * off**2).sum(axis=1)
    noise = (law.weights[:, :, None] * drawn**2).sum(axis=1)
    shares = (1 + (noise >= found[:, None]).sum(axis=1)) / (1 + noise.shape[1])
    first, second = (
        float(p) if spread > 0 else None
        for p, spread in zip(shares, noise.max(axis=1), strict=True)
    )
    return first, second


def _scatter(law: ScalingLaw, spare: int) -> tuple[float, float]:
    """Return the scatter by moments: squared distances from the law, less those of noise."""
    off, drawn = law.distances()
    assert drawn is not None
    excess = (
        np.maximum((off**2).sum(axis=1) - np.square(drawn).sum(axis=1).mean(axis=1), 0.0) / spare
    )
    rho_star, gain = np.sqrt(excess)
    return float(rho_star), float(gain)


def _held_out(law: ScalingLaw, level: float) -> tuple[HeldOut, ...]:
    columns = law.axes.columns
    if any(
        np.linalg.matrix_rank(np.delete(columns, i, axis=0)) < columns.shape[1]
        for i in range(len(columns))
    ):
        return ()
    found = []
    for i, row in enumerate(columns):
        value, errors = law.without(i).at(row)
        rho_star, gain = law.measured[:, i] - value
        found.append(HeldOut(_reading(value, errors, level), (float(rho_star), float(gain))))
    return tuple(found)


def _reading(value: np.ndarray, errors: np.ndarray | None, level: float) -> OptimumAndGain:
    """Return percentiles of values (2,) with draws of their errors (2, B)."""
    if errors is None:
        return OptimumAndGain(*(Interval(float(v), None, None) for v in value))
    return OptimumAndGain(
        *(_percentiles(v, v + one, level) for v, one in zip(value, errors, strict=True))
    )


def _percentiles(value: float, drawn: np.ndarray, level: float) -> Interval:
    low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(value), float(low), float(high))


def _clipped(one: Interval, low: float, high: float) -> Interval:
    return Interval(
        *(
            None if end is None else float(np.clip(end, low, high))
            for end in (one.value, one.low, one.high)
        )
    )
