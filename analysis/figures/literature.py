"""A sweep's gain over rho = 1 beside every printed one.

Scales differ: compare the place, not the height.
"""

from matplotlib.figure import Figure

from analysis.figures.style import CURVE, INK, NEAR, RHO, styled
from analysis.literature import POINTS, printed_gains
from analysis.sweep.sweep_analysis import SweepAnalysis

MARKS = {"printed": "full", "derived": "none", "second-hand": "left"}


def gains_over_rho(result: SweepAnalysis, title: str) -> Figure:
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
        figure = Figure(figsize=(7.2, 3.6), layout="constrained")
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
        for place, gain in enumerate(printed_gains()):
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
        axes.set_xlabel(RHO)
        axes.set_ylabel("loss minus loss at\n" + f"ρ = {grid[-1]:g} (nats/token)")
        figure.legend(frameon=False, fontsize=8.5, loc="outside lower center", ncols=3)
    return figure
