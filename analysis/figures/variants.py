"""What every variant of the Engram module costs: dots with intervals, as in the paper's Fig. 5."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.curve.readings import Interval
from analysis.figures.style import CURVE, INK, SEEDS, legend_below, styled
from analysis.levels import percent
from analysis.sweep.ablation import Ablation, WholeModule


def worth_of_parts(result: Ablation, title: str) -> Figure:
    """Draw the variants by their difference to the whole module, one panel per place.

    Pure MoE stands last; where it is far away it is a number at the edge, so that the variants keep
    their room.

    Args:
        result: the analysed variants.
        title: what the figure is of, shown above it.
    """
    most = max(
        sum((one.rho, one.size) == (whole.rho, whole.size) for one in result.effects)
        for whole in result.wholes
    )
    panels = len(result.wholes)
    with styled():
        figure = Figure(
            figsize=(max(6.4, 3.6 * panels + 1.6), 1.7 + 0.34 * most), layout="constrained"
        )
        for axes, whole in zip(
            figure.subplots(1, panels, squeeze=False)[0], result.wholes, strict=True
        ):
            _panel(axes, whole, result)
        legend_below(figure, 3, figure.axes[0])
        figure.suptitle(title, x=0.01, ha="left", color=INK, fontsize=11)
    return figure


def _panel(axes: Axes, whole: WholeModule, result: Ablation) -> None:
    effects = [one for one in result.effects if (one.rho, one.size) == (whole.rho, whole.size)]
    effects.sort(key=lambda one: -np.inf if one.difference.value is None else one.difference.value)
    axes.axvline(0, color=INK, lw=0.8)
    label = f"variant, {percent(result.level)} interval over all of them"
    for at, one in enumerate(effects):
        _dot(axes, at, one.difference, CURVE, label if at == 0 else None)
    names = [one.label for one in effects]
    if whole.moe.value is not None:
        names.append("pure MoE")
        _moe(axes, len(effects), whole.moe, [one.difference for one in effects])
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.set_xlabel("loss minus that of the whole module (nats/token)", fontsize=10)
    if len(result.wholes) > 1:
        place = f"ρ {whole.rho:.2f}" if whole.size is None else f"{whole.size:,} rows per head"
        axes.set_title(place)


def _moe(axes: Axes, at: int, moe: Interval, others: list[Interval]) -> None:
    """Draw pure MoE, or its number at the edge if it lies beyond three times the others' reach."""
    ends = [abs(end) for one in others for end in (one.value, one.low, one.high) if end is not None]
    reach = max(ends, default=0.0)
    assert moe.value is not None
    if abs(moe.value) <= 3 * reach or not reach:
        _dot(axes, at, moe, SEEDS, "pure MoE, interval of its own")
        return
    low, high = axes.get_xlim()
    edge, sign = (high, ">") if moe.value > 0 else (low, "<")
    axes.plot([edge], [at], sign, color=SEEDS, ms=6, clip_on=False, label="pure MoE, outside")
    axes.set_xlim(low, high)
    inward = -6 if moe.value > 0 else 6
    axes.annotate(
        f"{moe.value:+.4f}",
        (edge, at),
        (inward, 0),
        textcoords="offset points",
        ha="right" if moe.value > 0 else "left",
        va="center",
        fontsize=9,
        color=INK,
    )


def _dot(axes: Axes, at: int, found: Interval, colour: str, label: str | None) -> None:
    if found.value is None:
        return
    axes.plot([found.value], [at], "o", color=colour, ms=5, label=label)
    if found.low is not None and found.high is not None:
        axes.plot([found.low, found.high], [at, at], color=colour, lw=1.4)
