"""How fast the runs of a curve were trained, and how long each took."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import EngFormatter

from analysis.figures.hover import MAX_SPOTS, HoverFigure, ids_of, run_words
from analysis.figures.style import DOTS, INK, RHO, legend_below, series, styled
from analysis.runs.places import by_size, places

DEVICE = "device"


def training_speed(runs: pd.DataFrame, title: str) -> HoverFigure | None:
    """Draw tokens per second and hours of every run against rho, a colour per kind of device.

    Args:
        runs: the runs of one curve.
        title: what the figure is of.

    Returns:
        The figure; None if the table does not know them.
    """
    if not {"tokens_per_second", "wall_seconds"} <= set(runs) or not places(runs):
        return None
    found = places(runs)
    placed = pd.concat([place.runs.assign(x=place.x) for place in found])
    device = placed[DEVICE].fillna("unknown") if DEVICE in placed else pd.Series("", placed.index)
    kinds = sorted(set(device))
    with styled():
        figure = HoverFigure(figsize=(9.6, 3.4), layout="constrained")
        left, right = figure.subplots(1, 2)
        for colour, kind in zip(series(len(kinds)), kinds, strict=True):
            of_kind = placed.loc[device == kind]
            label = kind or None
            _runs(figure, left, of_kind, of_kind["tokens_per_second"], colour, label)
            _runs(figure, right, of_kind, of_kind["wall_seconds"] / 3600, colour, None)
        left.set_ylabel("training tokens/s")
        left.yaxis.set_major_formatter(EngFormatter(sep=""))
        right.set_ylabel("hours of a run")
        for axes in (left, right):
            axes.set_ylim(bottom=0)
            if by_size(runs):
                axes.set_xticks([place.x for place in found], [place.label for place in found])
            axes.set_xlabel("table size" if by_size(runs) else RHO.partition(",")[0])
        figure.suptitle(title, x=0.01, ha="left", fontsize=11, color=INK)
        if left.get_legend_handles_labels()[0]:
            legend_below(figure, 3)
    return figure


def _runs(
    figure: HoverFigure,
    axes: Axes,
    runs: pd.DataFrame,
    values: pd.Series,
    colour: tuple[float, ...],
    label: str | None,
) -> None:
    pixels = len(runs) > MAX_SPOTS
    axes.plot(runs["x"], values, **{**DOTS, "color": colour}, label=label, rasterized=pixels)
    known = np.isfinite(values.to_numpy(float))
    shown = runs.loc[known]
    figure.say(axes, shown["x"], values[known], run_words(shown), ids_of(shown))
