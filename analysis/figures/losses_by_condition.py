"""Curves of several conditions on one panel, and below it where each is lowest."""

import numpy as np
from matplotlib.axes import Axes

from analysis.curve.rounding import with_interval
from analysis.figures.hover import HoverFigure
from analysis.figures.style import INK, RHO, legend_below, series, styled
from analysis.scaling.joint import JointAnalysis
from analysis.sweep.sweep_analysis import SweepAnalysis

Colour = tuple[float, ...]


def losses_by_condition(joint: JointAnalysis, title: str) -> HoverFigure:
    """Draw the loss minus that at the largest rho, a colour per condition, and rho* of each.

    Above, lines are the fits, dots the means with their standard errors, diamonds rho*. Below, a
    row per condition: a thick bar is its near-optimal range, a thin one the interval of rho*.

    Args:
        joint: analysed conditions.
        title: what the figure is of.
    """
    count = len(joint.sweeps)
    colours = series(count)
    with styled():
        figure = HoverFigure(figsize=(7.2, 4.2 + 0.24 * count), layout="constrained")
        above, below = figure.subplots(2, 1, sharex=True, height_ratios=[3.4, 0.25 + 0.24 * count])
        for row, (colour, label, one) in enumerate(
            zip(colours, joint.labels, joint.sweeps, strict=True)
        ):
            _curve(figure, above, one, colour, label)
            _optimum(figure, below, one, colour, row, label)
        above.axhline(0, color=INK, lw=0.6, ls=":")
        end = {float(one.means.rho[-1]) for one in joint.sweeps}
        at = f"ρ = {end.pop():g}" if len(end) == 1 else "the largest ρ"
        above.set_ylabel(f"loss minus that at {at}\n(nats/token)")
        below.set_yticks(range(count), joint.labels, fontsize=8.5)
        below.set_ylim(count - 0.5, -0.5)
        below.set_xlabel(RHO)
        below.tick_params(left=False)
        below.spines["left"].set_visible(False)
        below.set_title("◆ ρ* with its interval; thick: near-optimal", loc="left", fontsize=8.5)
        figure.suptitle(title, x=0.01, ha="left", fontsize=11, color=INK)
        legend_below(figure, min(count, 3))
    return figure


def _curve(figure: HoverFigure, axes: Axes, one: SweepAnalysis, colour: Colour, label: str) -> None:
    """Draw a fit and the means, both minus the fitted loss at the largest rho."""
    grid, fit, means = one.curve.grid, one.curve.chosen.curve, one.means
    beyond = means.loss - fit[-1]
    axes.plot(grid, fit - fit[-1], color=colour, lw=1.8, label=label)
    error = np.sqrt(np.diag(means.cov))
    drawn = error if np.isfinite(error).all() else None
    axes.errorbar(means.rho, beyond, drawn, fmt="o", ms=4, lw=0.9, color=colour, mec="white")
    words = [
        f"{label}\nρ = {rho:.4g}, {runs} runs\nmean loss {loss:.4f}\n{difference:+.4f} nats/token"
        for rho, runs, loss, difference in zip(
            means.rho, means.runs, means.loss, beyond, strict=True
        )
    ]
    figure.say(axes, means.rho, beyond, words)
    best, lowest = one.near_optimal.value, float(fit.min() - fit[-1])
    axes.plot([best], [lowest], "D", ms=7, color=colour, mec="white", mew=0.9, zorder=5)


def _optimum(
    figure: HoverFigure, axes: Axes, one: SweepAnalysis, colour: Colour, row: int, label: str
) -> None:
    """Draw the near-optimal range and rho* with its interval."""
    near, best = one.near_optimal, one.rho_star
    axes.plot([near.low, near.high], [row, row], color=colour, lw=7, alpha=0.35)
    low, high = (near.value if end is None else end for end in (best.low, best.high))
    axes.plot([low, high], [row, row], color=colour, lw=1.4)
    axes.plot([near.value], [row], "D", ms=6, color=colour, mec="white", mew=0.8)
    words = (
        f"{label}\nρ* {with_interval(best, 2)}\n"
        f"within {one.delta:g} of the lowest from {near.low:.2f} to {near.high:.2f}\n"
        f"gain {with_interval(one.gain_over_moe, 4)} nats/token"
    )
    figure.say(axes, [near.low, near.value, near.high], [row] * 3, [words] * 3)
