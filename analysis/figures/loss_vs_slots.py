"""The picture of a sweep over table sizes: every run a dot, both laws, and rows ever looked up."""

import numpy as np
from matplotlib.axes import Axes

from analysis.figures.hover import HoverFigure
from analysis.figures.style import CURVE, DOTS, INK, NEAR, SEEDS, styled
from analysis.runs.slot_table import ROWS
from analysis.slots.slots_analysis import ArmOverSizes, SlotsAnalysis
from engram_sweep.planning.arms import ARMS

COLOURS = (CURVE, NEAR, "#7b4fa3", "#3b8f5a")
"""Of the arms, in their order."""
MARKS = ("o-", "x--", "s:", "^-.")
"""Of the arms in the lower panel, so that equal shares are seen to be two."""
POINTS = 201
"""Points of a law's line."""


def loss_vs_slots(result: SlotsAnalysis, title: str) -> HoverFigure:
    """Draw the loss against the table size, and below it the share of rows ever looked up.

    Args:
        result: an analysed sweep over table sizes.
        title: what the figure is of, shown above it.
    """
    counted = any(one.touched is not None for one in result.arms)
    with styled():
        figure = HoverFigure(figsize=(7.2, 5.6 if counted else 4.4), layout="constrained")
        heights = [1.0, 0.32] if counted else [1.0]
        panels = np.atleast_1d(figure.subplots(len(heights), 1, sharex=True, height_ratios=heights))
        for colour, marks, one in zip(COLOURS, MARKS, result.arms, strict=False):
            _arm(panels[0], result, one, colour)
            if one.touched is not None:
                share = 100 * one.touched.share
                panels[1].plot(one.rows, share, marks, color=colour, ms=5, lw=1.4)
        _beside(panels[0], result)
        panels[0].set_ylabel("validation loss (nats/token)")
        panels[0].set_title(title, loc="left", color=INK)
        if counted:
            panels[1].set_ylabel("rows ever\nlooked up (%)")
            panels[1].set_ylim(-4, 104)
        _sizes(panels[-1], result)
        figure.legend(frameon=False, fontsize=8.5, loc="outside lower center", ncols=2)
    return figure


def _arm(axes: Axes, result: SlotsAnalysis, one: ArmOverSizes, colour: str) -> None:
    """Draw the runs of one arm, its line, and the saturating law if the line is rejected."""
    name = ARMS[one.arm].label
    runs = result.runs.sized.loc[result.runs.sized["arm"] == one.arm]
    axes.plot(runs[ROWS], runs["validation_loss"], **{**DOTS, "color": colour}, zorder=3)
    axes.plot(one.rows, one.means.loss, "_", color=colour, ms=14, mew=1.8, zorder=4)
    if len(one.rows) < 2:
        axes.plot([], [], color=colour, label=name)
        return
    fine = np.geomspace(one.rows[0], one.rows[-1], POINTS)
    slope, line = _line(one)
    axes.plot(fine, line(fine), color=colour, lw=1.2, ls="--", label=f"{name}: {slope}")
    if one.line is not None and one.line.rejected and one.line.law is not None:
        axes.plot(fine, one.line.law.at(fine), color=colour, lw=1.8, label=f"{name}: saturating")


def _line(one: ArmOverSizes):
    """Return the slope in words, and the line of that slope through the means."""
    slope = one.slope.value or 0.0
    limits = "" if one.slope.low is None else f" [{one.slope.low:.4f}, {one.slope.high:.4f}]"
    centre, level = np.log2(one.rows).mean(), one.means.loss.mean()
    return (
        f"{slope:.4f}{limits} per doubling",
        lambda rows: level + slope * (np.log2(rows) - centre),
    )


def _beside(axes: Axes, result: SlotsAnalysis) -> None:
    """Draw the mean of every arm without a table as a level line, if it is near."""
    low, high = axes.get_ylim()
    reach = high - low
    for arm, runs in result.runs.beside.groupby("arm"):
        loss = float(np.mean(runs["validation_loss"].to_numpy(float)))
        if low - reach < loss < high + reach:
            axes.axhline(
                loss, color=SEEDS, lw=1.2, ls=":", label=f"{ARMS[str(arm)].label}, no table"
            )


def _sizes(axes: Axes, result: SlotsAnalysis) -> None:
    rows = sorted({float(size) for one in result.arms for size in one.rows})
    axes.set_xscale("log", base=2)
    axes.set_xticks(rows, [f"{size:,.0f}" for size in rows])
    axes.minorticks_off()
    several = len(result.arms) > 1
    others = "; other arms: as many table parameters" if several else ""
    axes.set_xlabel(f"M, rows per head of Engram{others}")
