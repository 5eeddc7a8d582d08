"""Where the gain lives: gain, share of it and rho* by stratum, with their intervals."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.curve.readings import Interval
from analysis.figures.style import CURVE, INK, SEEDS, styled
from analysis.inside.strata import StrataAnalysis, Stratum

PANELS = (
    ("gain", "gain over ρ = 1 (nats/token)"),
    ("part", "share of the whole gain"),
    ("rho_star", "ρ* within the stratum"),
)
"""Fields of a stratum, one panel each, and the labels of their axes."""


def gain_by_stratum(result: StrataAnalysis, title: str) -> Figure:
    """Draw the strata of the longest n-grams, from never shown to shown often.

    Args:
        result: the analysed strata.
        title: what the figure is of, shown above it.
    """
    strata = result.of(result.orders[-1])
    with styled():
        figure = Figure(figsize=(9.6, 1.2 + 0.36 * len(strata)), layout="constrained")
        panels = figure.subplots(1, len(PANELS), sharey=True)
        for axes, (field, label) in zip(panels, PANELS, strict=True):
            _dots(axes, [getattr(one, field) for one in strata])
            axes.set_xlabel(label, fontsize=10)
        # One line for the whole sweep, to see what lies beside it.
        for axes, whole in (
            (panels[0], result.whole.gain_over_moe),
            (panels[2], result.whole.rho_star),
        ):
            if whole.value is not None:
                axes.axvline(whole.value, color=SEEDS, lw=1, ls=":")
        panels[0].set_yticks(range(len(strata)), [_name(one) for one in strata])
        panels[0].invert_yaxis()
        panels[2].set_xlim(-0.04, 1.04)
        figure.suptitle(title, x=0.01, ha="left", color=INK, fontsize=11)
    return figure


def _name(one: Stratum) -> str:
    words = f"shown {one.name}" if one.name[-1].isdigit() else one.name
    return f"{words}  ({one.tokens:.1%})"


def _dots(axes: Axes, intervals: list[Interval]) -> None:
    for at, interval in enumerate(intervals):
        if interval.value is None:
            continue
        axes.plot(interval.value, at, "o", color=CURVE, ms=5)
        low = interval.value if interval.low is None else interval.low
        high = interval.value if interval.high is None else interval.high
        axes.plot([low, high], [at, at], color=CURVE, lw=1.4)
    if any(one.value is not None and np.isfinite(one.value) for one in intervals):
        axes.axvline(0, color=INK, lw=0.6)
