"""What routers and gates did: how evenly experts were chosen, and how far memories are let in."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from analysis.figures.hover import MAX_SPOTS, HoverFigure
from analysis.figures.style import DOTS, INK, RHO, WRONG, legend_below, series, styled
from analysis.runs.places import Place, by_size, places, values

MIDDLE = (5, 95)
"""Percentiles of the experts that a thick bar spans."""


def expert_load(runs: pd.DataFrame, title: str) -> HoverFigure | None:
    """Draw how evenly a router's choices fall on its experts, at every rho, a colour per layer.

    1 is an even share. A thin line goes from the least to the most chosen expert, a thick one
    spans 90 % of them; seeds are pooled.

    Args:
        runs: the runs of one curve.
        title: what the figure is of.

    Returns:
        The figure; None if the table holds no load.
    """
    found = [(place, relative_load(place)) for place in places(runs)]
    found = [(place, load) for place, load in found if len(load)]
    if not found:
        return None
    layers = max(len(load) for _, load in found)
    with styled():
        figure = HoverFigure(figsize=(7.2, 3.6), layout="constrained")
        axes = figure.subplots()
        step = 0.6 * _gap(found) / layers
        for place, load in found:
            for layer, (colour, shares) in enumerate(zip(series(layers), load, strict=False)):
                x = place.x + step * (layer - (layers - 1) / 2)
                shares = shares[np.isfinite(shares)]
                if not shares.size:
                    continue
                axes.vlines(x, shares.min(), shares.max(), color=[colour], lw=1)
                axes.vlines(x, *np.percentile(shares, MIDDLE), color=[colour], lw=4)
                words = (
                    f"{_at(place, runs)}, MoE layer {layer + 1}\n"
                    f"most chosen expert {shares.max():.2f} x an even share\n"
                    f"least chosen {shares.min():.2f} x, never chosen {int((shares == 0).sum())}"
                )
                figure.say(axes, [x, x], [shares.min(), shares.max()], [words] * 2)
                if (shares == 0).any():
                    axes.plot([x], [0], "x", color=WRONG, ms=5, clip_on=False)
        axes.axhline(1, color=INK, lw=0.6, ls=":")
        for layer, colour in enumerate(series(layers)):
            axes.plot([], [], color=colour, lw=4, label=f"MoE layer {layer + 1}")
        _finish(figure, axes, [place for place, _ in found], runs, title)
        axes.set_ylabel("share of choices\nover an even share")
    return figure


def gates(runs: pd.DataFrame, title: str) -> HoverFigure | None:
    """Draw the mean gate of every Engram module at validation, at every rho that has a memory.

    Args:
        runs: the runs of one curve.
        title: what the figure is of.

    Returns:
        The figure; None if the table holds no gates.
    """
    found = [(place, seeds) for place in places(runs) if (seeds := _gates(place))]
    if not found:
        return None
    modules = max(len(gate) for _, seeds in found for gate in seeds)
    with styled():
        figure = HoverFigure(figsize=(7.2, 3.2), layout="constrained")
        axes = figure.subplots()
        for module, colour in enumerate(series(modules)):
            here = [
                (place, [float(gate[module]) for gate in seeds if module < len(gate)])
                for place, seeds in found
            ]
            here = [(place, gate) for place, gate in here if gate]
            x = [place.x for place, _ in here]
            mean = [float(np.mean(gate)) for _, gate in here]
            axes.plot(x, mean, color=colour, lw=1.4, label=f"module {module + 1}")
            pixels = len(runs) > MAX_SPOTS
            for place, gate in here:
                dots = {**DOTS, "color": colour, "rasterized": pixels}
                axes.plot([place.x] * len(gate), gate, **dots)
            words = [
                f"{_at(place, runs)}, module {module + 1}\nmean gate {value:.3f}, "
                f"{min(gate):.3f} to {max(gate):.3f} over {len(gate)} runs"
                for value, (place, gate) in zip(mean, here, strict=True)
            ]
            figure.say(axes, x, mean, words)
        _finish(figure, axes, [place for place, _ in found], runs, title)
        axes.set_ylabel("mean gate at validation")
    return figure


def relative_load(place: Place) -> np.ndarray:
    """Return how often experts are chosen, relative to an even share, shape (layers, experts).

    Experts of all runs of a place stand side by side; NaN fills layers with fewer.
    """
    loads = [load for load in values(place.runs, "expert_load") if load.ndim == 2 and load.size]
    if not loads:
        return np.empty((0, 0))
    layers = min(len(load) for load in loads)
    experts = [np.isfinite(load[:layers]).sum(axis=1, keepdims=True) for load in loads]
    return np.concatenate(
        [load[:layers] * count for load, count in zip(loads, experts, strict=True)], axis=1
    )


def _gates(place: Place) -> list[np.ndarray]:
    return [gate for gate in values(place.runs, "gate_mean") if gate.size]


def _at(place: Place, runs: pd.DataFrame) -> str:
    return place.label if by_size(runs) else f"ρ = {place.label}"


def _gap(found: list[tuple[Place, np.ndarray]]) -> float:
    """Return the least distance of two places, so that the layers of one fit beside it."""
    x = [place.x for place, _ in found]
    return float(np.diff(x).min()) if len(x) > 1 else 1.0


def _finish(
    figure: HoverFigure, axes: Axes, found: list[Place], runs: pd.DataFrame, title: str
) -> None:
    if by_size(runs):
        axes.set_xticks([place.x for place in found], [place.label for place in found])
        axes.set_xlabel("table size, rows per head")
    else:
        axes.set_xlabel(RHO)
    figure.suptitle(title, x=0.01, ha="left", fontsize=11, color=INK)
    legend_below(figure, 6)
