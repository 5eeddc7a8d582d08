"""What a page says of one curve in tables: readings, control arms, the literature beside it."""

from html import escape

import pandas as pd

from analysis.figures.literature import gains_over_rho
from analysis.figures.style import render
from analysis.literature import POINTS
from analysis.report.numbers import as_json
from analysis.report.page import cell, figure, table
from analysis.sweep.sweep_analysis import SweepAnalysis


def readings(result: SweepAnalysis) -> str:
    """Return the table of everything that was read off the curve, with intervals."""
    numbers = as_json(result)
    near = numbers["near_optimal"]
    rows = [
        ("rho*", result.rho_star.value, _limits(result.rho_star.low, result.rho_star.high)),
        (
            "gain over rho = 1 (nats/token)",
            result.gain_over_moe.value,
            _limits(result.gain_over_moe.low, result.gain_over_moe.high),
        ),
        (
            f"near-optimal from (within {result.delta:g})",
            near["low"],
            _limits(*(near["low_interval"] or (None, None))),
        ),
        ("near-optimal to", near["high"], _limits(*(near["high_interval"] or (None, None)))),
        (
            "break-even rho",
            result.break_even.value,
            _limits(result.break_even.low, result.break_even.high),
        ),
        ("p of no U", numbers["p_u"], ""),
        ("run noise (nats/token)", numbers["noise"], ""),
        (
            "noise at rho = 1 over that of other runs",
            result.anchor_noise.value,
            _limits(result.anchor_noise.low, result.anchor_noise.high),
        ),
        *_next_run(result),
        ("forms disagree on rho* by", numbers["model_uncertainty"]["rho_star"], ""),
        (
            "forms disagree on the gain by (nats/token)",
            numbers["model_uncertainty"]["gain_over_moe"],
            "",
        ),
        *(
            (f"p of no {name.replace('_', ' ')}", p, "")
            for name, p in numbers["diagnostics"].items()
        ),
        ("form", numbers["form"], ""),
    ]
    return table(pd.DataFrame(rows, columns=["", "value", f"{result.level:.0%} interval"]))


def _next_run(result: SweepAnalysis) -> list[tuple[str, float, str]]:
    """Return the row of what one more run is worth, if that is known."""
    more = result.next_run
    if more is None:
        return []
    worth = f"removes {more.share:.0%} of the gain's variance"
    return [("one more run is worth most at rho", more.rho, worth)]


def arms(result: SweepAnalysis) -> str:
    """Return the table of the control arms, paired over common seeds."""
    if not result.arms:
        return "<p>None in this sweep.</p>"
    rows = [
        {
            "arm": arm.arm,
            "rho": arm.rho,
            "runs": arm.runs,
            "loss (nats/token)": arm.loss,
            "gain over rho = 1": arm.gain_over_moe.value,
            "interval": _limits(arm.gain_over_moe.low, arm.gain_over_moe.high),
            "gain over the hybrid at this rho": arm.gain_over_hybrid.value,
            "its interval": _limits(arm.gain_over_hybrid.low, arm.gain_over_hybrid.high),
        }
        for arm in result.arms
    ]
    return table(pd.DataFrame(rows))


def drift(result: SweepAnalysis) -> str | None:
    """Return what batches of rho = 1 say, None if they are one batch."""
    found = result.anchor_drift
    return f"<p>{escape(found.sentence)}</p>" if found else None


def literature(result: SweepAnalysis, name: str) -> str:
    """Return the sweep beside printed numbers of others: a figure and their table."""
    picture = render(gains_over_rho(result, name), "svg").decode()
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
    words = "gains over rho, this sweep and printed ones"
    return figure(picture, words) + table(pd.DataFrame(rows))


def _limits(low: float | None, high: float | None) -> str:
    return "none" if low is None and high is None else f"{cell(low)} to {cell(high)}"
