"""Task losses along rho, one panel for each task."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.figures.style import CURVE, INK, SEEDS, styled
from analysis.inside.eval import UNRESOLVED, EvalAnalysis, Task

COLUMNS = 4
"""Panels of a row."""


def bits_by_task(result: EvalAnalysis, title: str) -> Figure:
    """Draw how many bits per byte each rho saves over pure MoE; grey if a task is not resolved.

    Args:
        result: the analysed tasks.
        title: what the figure is of, shown above it.
    """
    rows = -(-len(result.tasks) // COLUMNS)
    with styled():
        figure = Figure(figsize=(10.4, 0.6 + 2.4 * rows), layout="constrained")
        panels = figure.subplots(rows, COLUMNS, sharex=True, squeeze=False).ravel()
        for axes, task in zip(panels, result.tasks, strict=False):
            _panel(axes, task)
        for axes in panels[len(result.tasks) :]:
            axes.set_axis_off()
        figure.supxlabel("ρ, share of the sparse budget in experts", fontsize=10)
        figure.supylabel("bits per byte below ρ = 1", fontsize=10)
        figure.suptitle(title, x=0.01, ha="left", color=INK, fontsize=11)
    return figure


def _panel(axes: Axes, task: Task) -> None:
    colour = SEEDS if task.verdict == UNRESOLVED else CURVE
    known = [point for point in task.points if point.below_moe.value is not None]
    rho = [*(point.rho for point in known), 1.0]
    axes.plot(rho, np.array([*(p.below_moe.value for p in known), 0.0]), "o-", ms=4, color=colour)
    for point in known:
        low, high = point.below_moe.low, point.below_moe.high
        if low is not None and high is not None:
            axes.plot([point.rho] * 2, [low, high], color=colour, lw=1.2)
    axes.axhline(0, color=INK, lw=0.6)
    axes.set_title(f"{task.name}\n{task.verdict}", loc="left", fontsize=9)
    axes.tick_params(labelsize=8)
