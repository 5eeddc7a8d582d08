"""The whole analysis of one sweep in one call: means, curve, intervals, tests, control arms."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.curve.bootstrap import DRAWS, draw_errors, percentile_interval
from analysis.curve.fit import UCurve, fit_curve
from analysis.curve.means import RhoMeans, rho_means
from analysis.curve.readings import Interval, read_curves
from analysis.levels import DELTA, LEVEL
from analysis.runs.table import SweepRuns, check_table
from analysis.sweep.anchor_drift import AnchorDrift, anchor_drift
from analysis.sweep.control_arms import ArmEffect, GainParts, arm_effects, gain_parts
from analysis.sweep.diagnostics import Diagnostics, diagnose
from analysis.sweep.near_optimal import NearOptimal, near_optimal
from analysis.sweep.next_run import NextRun, next_run
from analysis.sweep.smoothness import corner_elsewhere, single_dip
from analysis.sweep.u_shape_test import UShapeTest, u_shape_test
from analysis.threads import one_thread

BOOTSTRAP_SEED = 20260107372
"""Fixed, so that the same table gives the same report."""


@dataclass(frozen=True)
class SweepAnalysis:
    """What one sweep shows; losses are in nats/token."""

    sweep: SweepRuns
    """The checked runs."""
    means: RhoMeans
    """Mean losses, relative to the seeds."""
    curve: UCurve
    """The fits on their grid of P points."""
    level: float
    """Nominal coverage of every interval."""
    delta: float
    """What counts as near-optimal, nats/token."""
    band: np.ndarray | None
    """Pointwise interval of the curve, nats/token, shape (2, P); None with one seed."""
    rho_star: Interval
    """rho of the lowest loss."""
    single_dip: Interval
    """Where rho* lies if the loss has a single dip of any shape; limits None with one seed."""
    corner: float | None
    """Where a form with corners is lowest, if that is elsewhere than the smooth forms say."""
    near_optimal: NearOptimal
    """The range within delta of the lowest loss."""
    gain_over_moe: Interval
    """Loss at rho = 1 minus the lowest, nats/token; all None without runs at rho = 1."""
    break_even: Interval
    """rho below the optimum that does as well as rho = 1.

    The value is None if the curve never rises to that loss, everything without runs at rho = 1.
    """
    high_arm: Interval
    """Loss at the largest rho minus the lowest, nats/token (the gain, if that rho is 1)."""
    low_arm: Interval
    """Loss at the smallest rho minus the lowest, nats/token."""
    height: Interval
    """Highest minus lowest loss of the curve, nats/token."""
    test: UShapeTest | None
    """P-values of the tests for a U; None with one seed."""
    arms: tuple[ArmEffect, ...]
    """What the control arms got, paired with rho = 1."""
    parts: GainParts | None
    """How much of the gain is compute and how much memory; None without the one_row arm."""
    diagnostics: Diagnostics
    """Whether the runs look like the model behind the intervals."""
    anchor_drift: AnchorDrift | None
    """How the batches of rho = 1 differ; None if they are one batch."""
    anchor_noise: Interval
    """Noise of runs at rho = 1 over that of others; all None if unknown or without rho = 1."""
    next_run: NextRun | None
    """Where one more run would tell most of the gain; None if the noise is unknown."""

    @property
    def has_moe(self) -> bool:
        """Whether the sweep has finite runs at rho = 1."""
        return bool(self.means.rho[-1] == 1.0)

    @property
    def alpha(self) -> float:
        """One-sided level of the tests: what the interval leaves out on one side."""
        return (1 - self.level) / 2

    def model_uncertainty(self) -> dict[str, float]:
        """Return how far the forms disagree: largest minus smallest rho* and gain (nats/token)."""
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
    """Analyse a table of runs.

    Args:
        table: one row per run (columns: `analysis.runs.table`).
        source: what to call the table in messages, for example "tiny".
        level: nominal coverage of every interval, between 0 and 1.
        delta: what counts as near-optimal, nats/token.
        draws: bootstrap draws.
        form: fit this form (`analysis.curve.forms.FORMS`) instead of the one that predicts left-out
            points best; for example "spline".

    Raises:
        UserError: the table cannot be analysed; one line gives the reason.
    """
    sweep = check_table(table, source)
    means = rho_means(sweep.curve)
    curve = fit_curve(means, form)

    # Every quantity is read off the fitted curve and, in the same way, off every draw of it.
    errors = _errors(means, draws)
    curves = curve.refit(means.loss[:, None] + errors)
    point = read_curves(curve.grid, curve.chosen.curve[:, None], delta)
    drawn = read_curves(curve.grid, curves, delta)
    rho_star = percentile_interval(point.optimum[0], drawn.optimum, level)
    low_arm = percentile_interval(point.left_arm[0], drawn.left_arm, level)
    high_arm = percentile_interval(point.gain[0], drawn.gain, level)
    height = percentile_interval(point.height[0], drawn.height, level)

    band = test = None
    dip = Interval(float(means.rho[means.loss.argmin()]), None, None)
    if errors.shape[1]:
        tails = [(1 - level) / 2, (1 + level) / 2]
        band = np.quantile(curves, tails, axis=1)
        test = u_shape_test(means, errors, tails[0])
        dip = single_dip(means, errors, level)
        if test.p_gain >= tails[0]:
            # A minimum is never above the end, so draws alone would always claim a gain, also on a
            # flat curve.
            high_arm = Interval(high_arm.value, 0.0, high_arm.high)

    # Only a sweep with pure MoE can be compared with it.
    gain_over_moe = break_even = Interval(None, None, None)
    if means.rho[-1] == 1.0:
        gain_over_moe = high_arm
        break_even = percentile_interval(point.break_even[0], drawn.break_even, level)
    return SweepAnalysis(
        sweep=sweep,
        means=means,
        curve=curve,
        level=level,
        delta=delta,
        band=band,
        rho_star=rho_star,
        single_dip=dip,
        corner=corner_elsewhere(means, curve, rho_star),
        near_optimal=near_optimal(point, drawn, level, curve.grid),
        gain_over_moe=gain_over_moe,
        break_even=break_even,
        high_arm=high_arm,
        low_arm=low_arm,
        height=height,
        test=test,
        arms=arm_effects(sweep, means, level),
        parts=gain_parts(sweep, means, float(point.optimum[0]), level),
        diagnostics=diagnose(sweep.curve, means, curve),
        anchor_drift=anchor_drift(sweep, means),
        anchor_noise=_anchor_noise(means, level),
        next_run=next_run(means, errors, drawn.gain) if errors.shape[1] else None,
    )


def _errors(means: RhoMeans, draws: int) -> np.ndarray:
    """Draw errors of the means, shape (R, draws); (R, 0) if nothing measures the noise."""
    if means.noise is None:
        return np.empty((len(means.rho), 0))
    return draw_errors(means, draws, np.random.default_rng(BOOTSTRAP_SEED))


def _anchor_noise(means: RhoMeans, level: float) -> Interval:
    """Return the ratio of the noise at rho = 1 to that of other runs, with its interval."""
    if means.noise is None or means.rho[-1] != 1:
        return Interval(None, None, None)
    shares = np.array([0.5, (1 - level) / 2, (1 + level) / 2])
    return Interval(*means.noise.kappa_quantiles(shares).tolist())
