"""The whole analysis of one sweep in one call: means, curve, intervals, tests, arms, verdict."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.curve.fit import UCurve, fit_curve
from analysis.curve.means import RhoMeans, rho_means, with_own_noise
from analysis.curve.readings import DRAWS, CurveReadings, Interval, draw_errors, read_curves
from analysis.runs.table import SweepRuns, check_table
from analysis.sweep.anchor_drift import AnchorDrift, anchor_drift
from analysis.sweep.control_arms import ArmEffect, GainParts, arm_effects, gain_parts
from analysis.sweep.diagnostics import Diagnostics, diagnose, unequal_noise
from analysis.sweep.u_shape_test import UTest, u_test
from analysis.threads import one_thread

LEVEL = 0.9
DELTA = (
    0.001  # nats/token; on the paper's curve 0.1 in rho away from the optimum costs about this much
)
UNEQUAL_P = 0.05  # below it each rho has its own noise: wider intervals than need be for one sweep in twenty
BOOTSTRAP_SEED = 20260107372  # fixed: the same table gives the same report


@dataclass(frozen=True)
class NearOptimal:
    """The range {rho : L(rho) - L_min < delta} around the optimum.

    Attributes:
        value: rho of the lowest loss.
        low: lower end of the range.
        high: upper end of the range.
        low_interval: interval of the lower end; None with one seed.
        high_interval: interval of the upper end; None with one seed.
    """

    value: float
    low: float
    high: float
    low_interval: tuple[float, float] | None
    high_interval: tuple[float, float] | None


@dataclass(frozen=True)
class SweepAnalysis:
    """What one sweep says.

    Attributes:
        sweep: the checked runs.
        means: seed-adjusted mean losses.
        curve: the fits on their grid.
        level: nominal coverage of every interval.
        delta: what counts as near-optimal, nats/token.
        band: pointwise interval of the curve, nats/token, shape (2, P); None with one seed.
        rho_star: rho of the lowest loss.
        near_optimal: the range within delta of it.
        gain_over_moe: loss at rho = 1 minus the lowest, nats/token; all None without runs at rho =
            1.
        break_even: rho below the optimum that does as well as rho = 1; None where the curve never
            rises to it.
        high_arm: loss at the largest rho minus the lowest, nats/token (the gain, where that rho is
            1).
        low_arm: loss at the smallest rho minus the lowest, nats/token.
        height: highest minus lowest loss of the curve, nats/token.
        test: p-values; None with one seed.
        arms: what the control arms got, paired with rho = 1.
        parts: how much of the gain is compute and how much memory; None without the one_row arm.
        diagnostics: whether the runs look like the model behind the intervals.
    """

    sweep: SweepRuns
    means: RhoMeans
    curve: UCurve
    level: float
    delta: float
    band: np.ndarray | None
    rho_star: Interval
    near_optimal: NearOptimal
    gain_over_moe: Interval
    break_even: Interval
    high_arm: Interval
    low_arm: Interval
    height: Interval
    test: UTest | None
    arms: tuple[ArmEffect, ...]
    parts: GainParts | None
    diagnostics: Diagnostics
    anchor_drift: AnchorDrift | None

    @property
    def has_moe(self) -> bool:
        """Whether the sweep holds finite runs at rho = 1."""
        return bool(self.means.rho[-1] == 1.0)

    @property
    def alpha(self) -> float:
        """One-sided level of the tests: what the interval leaves out on one side."""
        return (1 - self.level) / 2

    def model_uncertainty(self) -> dict[str, float]:
        """How far the forms disagree: largest minus smallest estimate of rho* and of the gain (nats/token)."""
        optima, gains = [], []
        for fit in (self.curve.chosen, *self.curve.others):
            read = read_curves(self.curve.grid, fit.curve[:, None], self.delta)
            optima.append(read.optimum[0])
            gains.append(read.gain[0])
        return {"rho_star": float(np.ptp(optima)), "gain_over_moe": float(np.ptp(gains))}


@one_thread
def analyse_sweep(
    table: pd.DataFrame,
    source: str = "table",
    level: float = LEVEL,
    delta: float = DELTA,
    draws: int = DRAWS,
    form: str | None = None,
) -> SweepAnalysis:
    """Analyses a table of runs.

    Args:
        table: one row per run (table.check_table says what it must hold).
        source: what to call the table in messages.
        level: nominal coverage of every interval, between 0 and 1.
        delta: what counts as near-optimal, nats/token.
        draws: bootstrap draws.
        form: fit this form (ucurve.FORMS) instead of the one that predicts left-out points best.

    Raises:
        UserError: the table cannot be analysed; one line says why.
    """
    sweep = check_table(table, source)
    means, unequal = _means(sweep.curve)
    curve = fit_curve(means, form)
    point = read_curves(curve.grid, curve.chosen.curve[:, None], delta)
    heights = np.ptp(curve.chosen.curve, keepdims=True)
    if means.dof < 1:
        drawn, band, test, drawn_heights = None, None, None, None
    else:
        errors = draw_errors(means, draws, np.random.default_rng(BOOTSTRAP_SEED))
        curves = curve.refit(means.loss[:, None] + errors)
        drawn = read_curves(curve.grid, curves, delta)
        drawn_heights = np.ptp(curves, axis=0)
        band = np.quantile(curves, [(1 - level) / 2, (1 + level) / 2], axis=1)
        test = u_test(means, errors, (1 - level) / 2)

    high_arm = _interval(point.gain, drawn and drawn.gain, level)
    if test is not None and test.p_gain >= (1 - level) / 2:
        # A minimum is never above the end, so draws alone would always claim a gain, also on a flat
        # curve.
        high_arm = Interval(high_arm.value, 0.0, high_arm.high)
    none = Interval(None, None, None)
    at_moe = means.rho[-1] == 1.0
    return SweepAnalysis(
        sweep=sweep,
        means=means,
        curve=curve,
        level=level,
        delta=delta,
        band=band,
        rho_star=_interval(point.optimum, drawn and drawn.optimum, level),
        near_optimal=_near_optimal(point, drawn, level, curve.grid),
        gain_over_moe=high_arm if at_moe else none,
        break_even=_interval(point.break_even, drawn and drawn.break_even, level)
        if at_moe
        else none,
        high_arm=high_arm,
        low_arm=_interval(point.left_arm, drawn and drawn.left_arm, level),
        height=_interval(heights, drawn_heights, level),
        test=test,
        arms=arm_effects(sweep, means, level),
        parts=gain_parts(sweep, means, float(point.optimum[0]), level),
        diagnostics=diagnose(sweep.curve, means, curve, unequal),
        anchor_drift=anchor_drift(sweep, means),
    )


def _means(runs: pd.DataFrame) -> tuple[RhoMeans, float | None]:
    """The means, each rho with its own noise where it plainly differs; and the p-value of equal noise."""
    means, rho = rho_means(runs), runs["rho"].to_numpy(float)
    p = unequal_noise(rho, means)
    own = p is not None and p < UNEQUAL_P and means.runs.min() >= 3
    return with_own_noise(means, rho) if own else means, p


def _interval(point: np.ndarray, drawn: np.ndarray | None, level: float) -> Interval:
    """Percentiles of the draws and the estimate; a limit at -inf (no break-even in the measured range) becomes None."""
    value = _finite(point[0])
    if drawn is None:
        return Interval(value, None, None)
    # "lower" and "higher" pick draws as they are: an average with -inf would be undefined.
    low = np.quantile(drawn, (1 - level) / 2, method="lower")
    high = np.quantile(drawn, (1 + level) / 2, method="higher")
    return Interval(value, _finite(min(low, point[0])), _finite(max(high, point[0])))


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _near_optimal(
    point: CurveReadings, drawn: CurveReadings | None, level: float, grid: np.ndarray
) -> NearOptimal:
    tails = [(1 - level) / 2, (1 + level) / 2]
    # With the optimum at an edge, a fit turns there by chance and a draw around it turns once more:
    # the range's far end is off twice. Mirroring the draws at the estimate takes that out; the
    # wider of the two is kept.
    optimum = grid[1:-1] if drawn is None else np.quantile(drawn.optimum, tails)
    at_edge = optimum[0] <= grid[0] or optimum[-1] >= grid[-1]

    def limits(estimate: float, values: np.ndarray | None) -> tuple[float, float] | None:
        if values is None:
            return None
        low, high = np.quantile(values, tails)
        if at_edge:
            low, high = min(low, 2 * estimate - high), max(high, 2 * estimate - low)
        low, high = min(low, estimate), max(high, estimate)
        return float(max(low, grid[0])), float(min(high, grid[-1]))

    near_low, near_high = float(point.near_low[0]), float(point.near_high[0])
    return NearOptimal(
        value=float(point.optimum[0]),
        low=near_low,
        high=near_high,
        low_interval=limits(near_low, drawn and drawn.near_low),
        high_interval=limits(near_high, drawn and drawn.near_high),
    )
