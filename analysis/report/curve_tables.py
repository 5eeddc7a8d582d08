"""What a page says of one curve in tables: readings, losses, control arms, the literature."""

from html import escape

import numpy as np
import pandas as pd

from analysis.curve.readings import Interval
from analysis.curve.rounding import MAX_DECIMALS, decimals, decimals_of, ends_of_range, number
from analysis.figures.literature import gains_over_rho
from analysis.levels import percent
from analysis.literature import POINTS
from analysis.report.numbers import per_rho
from analysis.report.page_figure import figure
from analysis.report.page_table import NOTHING, table
from analysis.sweep.sweep_analysis import SweepAnalysis
from engram_sweep.planning.arms import ARMS

MAX_SEEDS = 12
"""Columns of the table of losses by seed."""
FORMS = {
    "two_power": "two saturating power laws",
    "split_quadratic": "half a parabola on each side",
    "local_quadratic": "local quadratic",
    "spline": "smoothing spline",
}
"""Names of the forms for readers; others keep their own."""


def readings(result: SweepAnalysis) -> str:
    """Return the table of everything that was read off the curve, with intervals."""
    near, gaps = result.near_optimal, result.model_uncertainty()
    low, high = ends_of_range(near.low, near.low_interval, near.high, near.high_interval)
    sigma = result.means.sigma
    rows = [
        _end(
            f"near-optimal from (within {result.delta:g} of the lowest)",
            *low,
        ),
        _end("near-optimal to", *high),
        _row("rho*, lowest of the fit", result.rho_star, 2),
        _row("lowest rho of a single dip of any shape", result.single_dip, 2, at_most=2),
        _row("gain over rho = 1 (nats/token)", result.gain_over_moe, 4),
        _row("break-even rho", result.break_even, 2),
        _row("noise at rho = 1 over that of other runs", result.anchor_noise, 1, at_most=1),
        ("p of no U", NOTHING if result.test is None else f"{result.test.p_u:.2g}", ""),
        ("run noise (nats/token)", NOTHING if sigma != sigma else f"{sigma:.2g}", ""),
        *_next_run(result),
        ("forms disagree on rho* by", f"{gaps['rho_star']:.2g}", ""),
        ("forms disagree on the gain by (nats/token)", f"{gaps['gain_over_moe']:.2g}", ""),
        *(
            (f"p of no {name.replace('_', ' ')}", NOTHING if p is None else f"{p:.2g}", "")
            for name, p in vars(result.diagnostics).items()
        ),
        ("form", FORMS.get(result.curve.chosen.form, result.curve.chosen.form), ""),
    ]
    return table(pd.DataFrame(rows, columns=["", "value", f"{percent(result.level)} interval"]))


def _end(name: str, shown: str, between: tuple[str, str] | None) -> tuple[str, str, str]:
    return name, shown, NOTHING if between is None else " to ".join(between)


def _row(
    name: str, reading: Interval, otherwise: int, at_most: int = MAX_DECIMALS
) -> tuple[str, str, str]:
    digits = decimals_of(reading, otherwise, at_most)
    value = NOTHING if reading.value is None else number(reading.value, digits)
    return name, value, limits(reading, otherwise, at_most)


def limits(reading: Interval, otherwise: int = 4, at_most: int = MAX_DECIMALS) -> str:
    """Return the limits of a reading, e.g. "0.0200 to 0.0294", with digits by their distance."""
    if reading.low is None and reading.high is None:
        return NOTHING
    digits = decimals_of(reading, otherwise, at_most)
    low = "below the range" if reading.low is None else number(reading.low, digits)
    return f"{low} to {number(reading.high, digits)}"


def _next_run(result: SweepAnalysis) -> list[tuple[str, str, str]]:
    """Return the row of what one more run is worth, if that is known."""
    more = result.next_run
    if more is None:
        return []
    worth = f"removes {more.share:.0%} of the gain's variance"
    return [("one more run is worth most at rho", f"{more.rho:.2f}", worth)]


def losses(result: SweepAnalysis) -> str:
    """Return the table of means, fit and band at every rho."""
    frame = per_rho(result)
    # A digit finer than the standard error, which is what differences are held against.
    digits = decimals(float(np.min(frame["se"])), 4)
    columns = ("mean", "se", "fitted", "low", "high", "gain_over_end")
    return table(frame, {"rho": 3} | dict.fromkeys(columns, digits))


def by_seed(result: SweepAnalysis) -> str:
    """Return the losses with a row for each rho and a column for each of the first seeds."""
    runs = result.sweep.curve
    runs = runs.loc[runs["seed"].isin(sorted(set(runs["seed"]))[:MAX_SEEDS])]
    frame = runs.pivot_table(index="rho", columns="seed", values="validation_loss")
    frame.columns = [f"seed {seed}" for seed in frame.columns]
    digits = decimals(result.means.sigma, 4)
    columns = dict.fromkeys(frame.columns, digits)
    return table(frame.reset_index(), {"rho": 3} | columns)


def arms(result: SweepAnalysis) -> str:
    """Return the table of the control arms, paired over common seeds."""
    if not result.arms:
        return "<p>None in this sweep.</p>"
    rows = [
        {
            "arm": ARMS[arm.arm].label,
            "rho": arm.rho,
            "runs": arm.runs,
            "loss (nats/token)": arm.loss,
            "gain over rho = 1": arm.gain_over_moe.value,
            "interval": limits(arm.gain_over_moe),
            "gain over the hybrid at this rho": arm.gain_over_hybrid.value,
            "its interval": limits(arm.gain_over_hybrid),
        }
        for arm in result.arms
    ]
    digits = min(decimals_of(arm.gain_over_moe, 4) for arm in result.arms)
    gains = ("loss (nats/token)", "gain over rho = 1", "gain over the hybrid at this rho")
    return table(pd.DataFrame(rows), {"rho": 3} | dict.fromkeys(gains, digits))


def drift(result: SweepAnalysis) -> str | None:
    """Return what batches of rho = 1 say, None if they are one batch."""
    found = result.anchor_drift
    return f"<p>{escape(found.sentence)}</p>" if found else None


def literature(result: SweepAnalysis, name: str) -> str:
    """Return the sweep beside printed numbers of others: a figure and their table."""
    rows = [
        {
            "work": p.work,
            "setting": p.setting,
            "rho": p.rho,
            "loss (nats/token)": p.loss,
            "certainty": p.certainty,
            "source": p.source,
        }
        for p in POINTS
    ]
    picture = figure(gains_over_rho(result, name), "gains over rho, this sweep and printed ones")
    return picture + table(pd.DataFrame(rows))
