"""The joint fit: how the best share and the gain move along the axes, and what to expect where nothing was trained.

Every condition has its own curve (ucurve), level and shape included; what is read off the curves,
rho* and the gain over rho = 1, is linear in the logarithms of the axes. Intervals are percentiles
of the curves' own bootstrap (intervals.py), every draw fitted again. By how much conditions scatter
around the law beyond noise is estimated from their distances to it and added, Student-t for the few
of them.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from analysis.curve.bootstrap import draw_errors
from analysis.curve.means import RhoMeans
from analysis.curve.readings import Interval, read_curves
from analysis.runs.conditions import Condition, labels
from analysis.scaling.axes import Axes, axes_of
from analysis.sweep.sweep_analysis import BOOTSTRAP_SEED, SweepAnalysis
from analysis.threads import one_thread

DRAWS = 500  # curves of every condition; its own study has spent more on its own intervals
QUANTITIES = ("rho_star", "gain_over_moe")


@dataclass(frozen=True)
class OptimumAndGain:
    """The two quantities of a condition, or their change per doubling, or an error of theirs.

    Attributes:
        rho_star: share of the lowest loss.
        gain_over_moe: loss at rho = 1 minus the lowest, nats/token.
    """

    rho_star: Interval
    gain_over_moe: Interval


@dataclass(frozen=True)
class HeldOut:
    """One condition against the law of the others.

    Attributes:
        predicted: what the law of the others says, with the noise behind it.
        error: measured minus predicted: of rho*, and of the gain in nats/token.
    """

    predicted: OptimumAndGain
    error: tuple[float, float]


@dataclass(frozen=True)
class ScalingLaw:
    """Both quantities at any position, with draws of what they could have been.

    Attributes:
        axes: where the conditions lie.
        weights: of every condition, for each quantity, shape (2, n).
        measured: both quantities of every condition, shape (2, n).
        errors: draws of how far they are off, shape (2, n, B); None if no seed repeats.
    """

    axes: Axes
    weights: np.ndarray
    measured: np.ndarray
    errors: np.ndarray | None

    def at(self, row: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """Return the law along a row of the design (1 + k,): values (2,), draws of errors (2, B)."""
        along = np.einsum("p,qpn->qn", row, self._solve())
        value = np.einsum("qn,qn->q", along, self.measured)
        return value, None if self.errors is None else np.einsum("qn,qnb->qb", along, self.errors)

    def distances(self) -> tuple[np.ndarray, np.ndarray | None]:
        """Of every condition from the law, shape (2, n), and draws of what noise makes of them, shape (2, n, B)."""
        hat = np.einsum("np,qpm->qnm", self.axes.columns, self._solve())
        off = np.eye(hat.shape[1]) - hat
        distances = np.einsum("qnm,qm->qn", off, self.measured)
        return distances, None if self.errors is None else np.einsum(
            "qnm,qmb->qnb", off, self.errors
        )

    def without(self, i: int) -> "ScalingLaw":
        """Return the law of the other conditions, in the same coordinates."""
        weights = self.weights.copy()
        weights[:, i] = 0.0
        return replace(self, weights=weights)

    def _solve(self) -> np.ndarray:
        """Weighted least squares as a matrix from measured values to coefficients, shape (2, 1 + k, n)."""
        columns = self.axes.columns
        weighted = columns.T[None] * self.weights[:, None, :]
        return np.linalg.solve(weighted @ columns, weighted)


@dataclass(frozen=True)
class ScalingFit:
    """What several conditions say together.

    Attributes:
        labels: names of the conditions.
        studies: each by itself.
        law: both quantities along the axes.
        level: nominal coverage of every interval.
        spare: conditions beyond the parameters that the law spends on each quantity; with 0 nothing
            tests it.
        p_law: that rho*, and the gain, miss the law by noise only; None without spare conditions or
            noise.
        scatter: standard deviation of conditions around the law beyond noise: of rho*, and of the
            gain in nats/token.
        at_conditions: the law where it was trained, with the interval of a new condition there.
        slopes: change per doubling, by axis.
        held_out: one per condition; empty where too few are left without one.
    """

    labels: tuple[str, ...]
    studies: tuple[SweepAnalysis, ...]
    law: ScalingLaw
    level: float
    spare: int
    p_law: tuple[float | None, float | None]
    scatter: tuple[float, float]
    at_conditions: tuple[OptimumAndGain, ...]
    slopes: dict[str, OptimumAndGain]
    held_out: tuple[HeldOut, ...]

    @property
    def axes(self) -> Axes:
        """Where the conditions lie, and which axes are identified."""
        return self.law.axes

    def predict(self, position: np.ndarray) -> OptimumAndGain:
        """Return what to expect at a position (Axes.place), with the interval of a new condition."""
        row = self.axes.row(position)
        free = self.along(row, own_scatter=1.0)
        rho_star, gain = free.rho_star, free.gain_over_moe
        # A minimum is never above the end: draws alone would claim a gain everywhere. One condition
        # must have found it.
        alpha = (1 - self.level) / 2 / len(self.studies)
        found = any(study.test is not None and study.test.p_gain < alpha for study in self.studies)
        return OptimumAndGain(
            _clipped(rho_star, min(study.means.rho[0] for study in self.studies), 1.0),
            _clipped(gain if found or gain.low is None else replace(gain, low=0.0), 0.0, np.inf),
        )

    def along(self, row: np.ndarray, own_scatter: float) -> OptimumAndGain:
        """Return the law along a row of the design, shape (1 + k,).

        Args:
            row: axes.Axes.row of a position, or a unit row for a coefficient.
            own_scatter: 1 for a new condition, which scatters around the law; 0 for the law itself.
        """
        value, errors = self.law.at(row)
        if errors is not None:
            columns = self.axes.columns
            reach = np.sqrt(own_scatter + row @ np.linalg.inv(columns.T @ columns) @ row)
            t = np.random.default_rng(BOOTSTRAP_SEED).standard_t(
                max(self.spare, 1), errors.shape[1]
            )
            errors = errors + reach * np.array(self.scatter)[:, None] * t
        return _reading(value, errors, self.level)


def why_no_law(studies: Sequence[SweepAnalysis], names: Sequence[str]) -> str | None:
    """Why the conditions cannot be fitted together, in words; None if they can."""
    if len(studies) < 2:
        return "One condition cannot show how rho* and the gain depend on compute, sparsity or length of training."
    for study, name in zip(studies, names, strict=True):
        if not study.has_moe:
            return f"No joint fit: {name} has no loss at rho = 1."
    return None


@one_thread
def scaling(
    conditions: Sequence[Condition], studies: Sequence[SweepAnalysis], draws: int = DRAWS
) -> ScalingFit:
    """Fit one law to several conditions.

    Args:
        conditions: at least two.
        studies: the same, each analysed by itself at one level and delta, all with runs at rho = 1.
        draws: bootstrap draws.

    Raises:
        ValueError: there is a reason against it (why_no_law).
    """
    names = labels(conditions)
    if (reason := why_no_law(studies, names)) is not None:
        raise ValueError(reason)
    axes = axes_of(conditions)
    measured = np.array([[s.rho_star.value, s.gain_over_moe.value] for s in studies], dtype=float).T
    errors = _errors(studies, draws)
    law = ScalingLaw(axes, _weights(errors, len(studies)), measured, errors)
    spare = len(studies) - 1 - len(axes.names)
    bare = ScalingFit(
        labels=tuple(names),
        studies=tuple(studies),
        law=law,
        level=studies[0].level,
        spare=spare,
        p_law=(None, None),
        scatter=(0.0, 0.0),
        at_conditions=(),
        slopes={},
        held_out=(),
    )
    full = (
        replace(bare, p_law=_p_law(law), scatter=_scatter(law, spare))
        if errors is not None and spare
        else bare
    )
    unit = np.eye(1 + len(axes.names))
    return replace(
        full,
        at_conditions=tuple(full.predict(position) for position in axes.positions),
        slopes={
            name: full.along(unit[1 + k], own_scatter=0.0) for k, name in enumerate(axes.names)
        },
        held_out=_held_out(law, full.level),
    )


def _errors(studies: Sequence[SweepAnalysis], draws: int) -> np.ndarray | None:
    """Draw errors of rho* and gain of every condition, shape (2, n, B)."""
    dof = sum(max(study.means.dof, 0) for study in studies)
    if dof < 1:
        return None
    pooled = np.sqrt(
        sum(study.means.sigma**2 * study.means.dof for study in studies if study.means.dof > 0)
        / dof
    )
    rng = np.random.default_rng(BOOTSTRAP_SEED)
    return np.stack(
        [_errors_of(study, float(pooled), dof, draws, rng) for study in studies], axis=1
    )


def _errors_of(
    study: SweepAnalysis, pooled: float, dof: int, draws: int, rng: np.random.Generator
) -> np.ndarray:
    fit = study.curve.chosen
    # A condition of one seed borrows the noise of the others.
    means: RhoMeans = (
        study.means if study.means.dof > 0 else replace(study.means, sigma=pooled, dof=dof)
    )
    read = read_curves(
        study.curve.grid,
        fit.curves_of(fit.at_rho[:, None] + draw_errors(means, draws, rng)),
        study.delta,
    )
    point = np.array([study.rho_star.value, study.gain_over_moe.value], dtype=float)
    return np.stack([read.optimum, read.gain]) - point[:, None]


def _weights(errors: np.ndarray | None, conditions: int) -> np.ndarray:
    """Inverse variances, drawn halfway to their mean: few seeds tell them badly, and an edge pretends to have none."""
    if errors is None:
        return np.ones((2, conditions))
    variances = np.square(errors).mean(axis=2)
    shrunk = (variances + variances.mean(axis=1, keepdims=True)) / 2
    return 1 / np.where(shrunk > 0, shrunk, 1.0)


def _p_law(law: ScalingLaw) -> tuple[float | None, float | None]:
    """By simulation: the weighted squares of the distances against what noise makes of them."""
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
    """By moments: the squared distances from the law, less what noise alone gives."""
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
    """Percentiles of values (2,) with draws of their errors (2, B)."""
    if errors is None:
        return OptimumAndGain(*(Interval(float(v), None, None) for v in value))
    low, high = np.quantile(value[:, None] + errors, [(1 - level) / 2, (1 + level) / 2], axis=1)
    return OptimumAndGain(
        *(Interval(float(v), float(a), float(b)) for v, a, b in zip(value, low, high, strict=True))
    )


def _clipped(one: Interval, low: float, high: float) -> Interval:
    return Interval(
        *(
            None if end is None else float(np.clip(end, low, high))
            for end in (one.value, one.low, one.high)
        )
    )
