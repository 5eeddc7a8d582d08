"""Two sweeps on one panel, and below it their difference at every common rho."""

import numpy as np
from matplotlib.axes import Axes

from analysis.curve.readings import Interval
from analysis.curve.rounding import with_interval
from analysis.figures.hover import HoverFigure, ids_of, run_words
from analysis.figures.style import CURVE, DOTS, INK, RHO, legend_below, styled
from analysis.sweep.comparison import Comparison
from analysis.sweep.sweep_analysis import SweepAnalysis

SECOND = "#c46210"
"""Colour of the second sweep; the first has that of every curve."""


def two_sweeps(found: Comparison, first: str, second: str) -> HoverFigure:
    """Draw both curves with their bands, and the differences with their intervals.

    Args:
        found: the comparison.
        first: what the first sweep is called.
        second: what the second one is called.
    """
    with styled():
        figure = HoverFigure(figsize=(7.2, 5.6), layout="constrained")
        above, below = figure.subplots(2, 1, sharex=True, height_ratios=[1.6, 1])
        for colour, name, sweep in ((CURVE, first, found.first), (SECOND, second, found.second)):
            _curve(figure, above, sweep, colour, name)
        rho = [one.rho for one in found.at_rho]
        offset = 0.006 * (max(rho) - min(rho) or 1.0)
        losses = [one.difference for one in found.at_rho]
        gains = [one.gain_difference for one in found.at_rho]
        # The gain at the largest rho is nothing by definition.
        _differences(figure, below, rho, losses, INK, "loss", -offset)
        _differences(figure, below, rho[:-1], gains[:-1], "#7b4fa3", "gain", offset)
        below.axhline(0, color=INK, lw=0.6)
        above.set_ylabel("validation loss\n(nats/token)")
        below.set_ylabel("difference\n(nats/token)")
        below.set_xlabel(RHO)
        figure.suptitle(f"{second} against {first}", x=0.01, ha="left", fontsize=11, color=INK)
        legend_below(figure, 2)
    return figure


def _curve(figure: HoverFigure, axes: Axes, sweep: SweepAnalysis, colour: str, name: str) -> None:
    grid, fit, runs = sweep.curve.grid, sweep.curve.chosen.curve, sweep.sweep.curve
    if sweep.band is not None:
        axes.fill_between(grid, *sweep.band, color=colour, alpha=0.2, lw=0)
    axes.plot(grid, fit, color=colour, lw=2, label=name)
    axes.plot(runs["rho"], runs["validation_loss"], **{**DOTS, "color": colour})
    words = [f"{name}\n{words}" for words in run_words(runs)]
    figure.say(axes, runs["rho"], runs["validation_loss"], words, ids_of(runs))
    best = sweep.near_optimal.value
    axes.plot([best], [fit.min()], "D", ms=6, color=colour, mec="white", mew=0.8, zorder=5)


def _differences(
    figure: HoverFigure,
    axes: Axes,
    rho: list[float],
    read: list[Interval],
    colour: str,
    kind: str,
    offset: float,
) -> None:
    if not rho:
        return
    value = np.array([one.value for one in read], dtype=float)
    low, high = (
        np.array([one.value if end is None else end for one, end in ends], dtype=float)
        for ends in ([(one, one.low) for one in read], [(one, one.high) for one in read])
    )
    x = np.array(rho) + offset
    axes.errorbar(
        x, value, [value - low, high - value], fmt="o", ms=4, lw=1.1, color=colour,
        label=f"difference of the {kind}",
    )  # fmt: skip
    words = [
        f"ρ = {at:.4g}, difference of the {kind}\n{with_interval(one, 4)} nats/token"
        for at, one in zip(rho, read, strict=True)
    ]
    figure.say(axes, x, value, words)
