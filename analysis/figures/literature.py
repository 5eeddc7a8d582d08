"""A sweep's gain over rho = 1 beside every printed one.

Scales differ: compare the place, not the height.
"""

from analysis.figures.hover import HoverFigure
from analysis.figures.style import CURVE, INK, NEAR, RHO, legend_below, styled
from analysis.literature import POINTS, printed_gains
from analysis.sweep.sweep_analysis import SweepAnalysis

MARKS = {"printed": "full", "derived": "none", "second-hand": "left"}


def gains_over_rho(result: SweepAnalysis, title: str) -> HoverFigure:
    """Draw the loss relative to that of the largest rho, beside printed numbers of others.

    Args:
        result: an analysed sweep.
        title: what the sweep is called.
    """
    grid, curve = result.curve.grid, result.curve.chosen.curve
    best = sorted(
        p.rho for p in POINTS if p.rho is not None and p.loss is None and "best range" in p.setting
    )
    with styled():
        figure = HoverFigure(figsize=(7.2, 3.6), layout="constrained")
        axes = figure.add_subplot()
        axes.axhline(0, color=INK, lw=0.6)
        axes.axvspan(
            best[0],
            best[-1],
            color=NEAR,
            alpha=0.25,
            lw=0,
            label="best range, as the paper prints it",
        )
        axes.plot(grid, curve - curve[-1], color=CURVE, lw=2, label=f"{title} (fit)")
        gains = printed_gains()
        for place, gain in enumerate(gains):
            axes.plot(
                [gain.rho],
                [-gain.gain],
                "os"[gain.work != "Engram"],
                fillstyle=MARKS[gain.certainty],
                color=INK,
                ms=7,
                label=f"{gain.work}, {gain.certainty}",
                zorder=3 + place,
            )
            # The points crowd around the paper's optimum: labels go away from it.
            right = gain.rho == max(one.rho for one in gains)
            axes.annotate(
                f"{gain.work} {0.0 - gain.gain:+.4f}",
                (gain.rho, -gain.gain),
                (7 if right else -7, -2),
                textcoords="offset points",
                ha="left" if right else "right",
                va="top",
                fontsize=8.5,
                color=INK,
            )
        words = [
            f"{gain.work}, {gain.certainty}\nρ = {gain.rho:g}: {0.0 - gain.gain:+.4f} nats/token"
            for gain in gains
        ]
        figure.say(axes, [gain.rho for gain in gains], [-gain.gain for gain in gains], words)
        axes.set_xlabel(RHO)
        axes.set_ylabel("loss minus loss at\n" + f"ρ = {grid[-1]:g} (nats/token)")
        legend_below(figure, 3)
    return figure
