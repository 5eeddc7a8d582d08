"""rho* and the gain of several conditions against every axis."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes as Panel

from analysis.curve.readings import Interval
from analysis.figures.hover import HoverFigure
from analysis.figures.style import CURVE, INK, NEAR, styled
from analysis.levels import percent
from analysis.literature import OPTIMA
from analysis.scaling.law import QUANTITIES, ScalingFit
from engram_sweep.planning.axes import AXES

POINTS = 61
"""Points of the law's line."""


def optimum_over_axes(fit: ScalingFit, title: str) -> HoverFigure:
    """Draw rho* (above) and the gain (below) against every axis of the law.

    Line and band are the law with the interval of a new condition, the other axes at their mean.
    Dots are the conditions by themselves, moved along the law to that mean. Beside a budget stand
    the paper's printed optima.

    Args:
        fit: at least one axis varies.
        title: what the figure is of.

    Raises:
        ValueError: no axis varies.
    """
    if not fit.axes.names:
        raise ValueError("no axis varies, so there is nothing to draw against")
    drawn = {"rho_star": "ρ*", "gain_over_moe": "gain over\nρ = 1 (nats/token)"}
    with styled():
        width = len(fit.axes.names)
        figure = HoverFigure(figsize=(1.2 + 4.2 * width, 5.2), layout="constrained")
        panels = figure.subplots(2, width, sharex="col", sharey="row", squeeze=False)
        for column, axis in enumerate(fit.axes.names):
            for panel, (quantity, label) in zip(panels[:, column], drawn.items(), strict=True):
                _law(panel, fit, column, quantity)
                _conditions(panel, fit, column, quantity)
                if axis == "budget":
                    _printed(panel, quantity)
                panel.set_xscale("log")
                if axis != "budget":  # few round values, which a logarithmic axis would not label
                    values = sorted(
                        {float(f"{value:.3g}") for value in 2 ** fit.axes.positions[:, column]}
                    )
                    panel.set_xticks(values, [f"{value:g}" for value in values])
                    panel.minorticks_off()
                if column == 0:
                    panel.set_ylabel(label)
            panels[1, column].set_xlabel(AXES[axis].label)
        panels[0, 0].set_ylim(-0.03, 1.03)
        figure.suptitle(title, x=0.01, ha="left", color=INK)
        handles = {
            label: handle
            for panel in panels.ravel()
            for handle, label in zip(*panel.get_legend_handles_labels(), strict=True)
        }
        figure.legend(
            handles.values(),
            handles,
            frameon=False,
            fontsize=8.5,
            loc="outside lower center",
            ncols=3,
        )
    return figure


def _law(panel: Panel, fit: ScalingFit, column: int, quantity: str) -> None:
    ends = fit.axes.positions[:, column]
    places = np.tile(fit.axes.centre, (POINTS, 1))
    places[:, column] = np.linspace(ends.min(), ends.max(), POINTS)
    read: list[Interval] = [getattr(fit.predict(place), quantity) for place in places]
    x = 2 ** places[:, column]
    if all(one.low is not None and one.high is not None for one in read):
        low, high = (
            np.array([getattr(one, end) for one in read], dtype=float) for end in ("low", "high")
        )
        panel.fill_between(
            x,
            low,
            high,
            color=CURVE,
            alpha=0.2,
            lw=0,
            label=f"{percent(fit.level)} for a new condition",
        )
    panel.plot(
        x, np.array([one.value for one in read], dtype=float), color=CURVE, lw=2, label="law"
    )


def _conditions(panel: Panel, fit: ScalingFit, column: int, quantity: str) -> None:
    style: dict[str, Any] = {
        "fmt": "o",
        "ms": 5,
        "color": INK,
        "lw": 1.0,
        "capsize": 2,
        "zorder": 4,
    }
    x = 2 ** fit.axes.positions[:, column]
    read: list[Interval] = [getattr(sweep, quantity) for sweep in fit.sweeps]
    value = np.array([one.value for one in read], dtype=float)
    ends = np.array(
        [
            [v if end is None else end for end in (one.low, one.high)]
            for one, v in zip(read, value, strict=True)
        ]
    )
    places = np.tile(fit.axes.centre, (len(x), 1))
    places[:, column] = fit.axes.positions[:, column]
    number = QUANTITIES.index(quantity)
    moved = [
        fit.law.at(fit.axes.row(place))[0][number] - fit.law.at(fit.axes.row(position))[0][number]
        for place, position in zip(places, fit.axes.positions, strict=True)
    ]
    reach = np.abs(ends - value[:, None]).T
    panel.errorbar(
        x, value + moved, reach, **style, label=f"conditions by themselves, {percent(fit.level)}"
    )


def _printed(panel: Panel, quantity: str) -> None:
    for one in OPTIMA:
        if quantity == "rho_star":
            panel.plot(
                [one.budget] * 2,
                [one.low, one.high],
                color=NEAR,
                lw=5,
                solid_capstyle="butt",
                label="the paper, printed",
            )
        elif one.gain is not None:
            panel.plot(
                [one.budget],
                [one.gain],
                "D",
                color=NEAR,
                mec=INK,
                mew=0.5,
                label="the paper, printed",
            )
