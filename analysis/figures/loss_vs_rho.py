"""The picture: every run a dot, seeds joined, the fitted curve with its band, rho* and the gain."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from analysis.curve.rounding import decimals_of, number
from analysis.figures.hover import MAX_SPOTS, HoverFigure, ids_of, run_words
from analysis.figures.style import CURVE, DOTS, INK, NEAR, RHO, WRONG, legend_below, styled
from analysis.levels import percent
from analysis.sweep.control_arms import runs_of
from analysis.sweep.sweep_analysis import SweepAnalysis
from engram_sweep.planning.arms import ARMS

CURVE_SPOTS = 41
"""Points of the fit that say their loss."""


def loss_vs_rho(result: SweepAnalysis, title: str, summary: str = "") -> HoverFigure:
    """Draw the loss against rho.

    Args:
        result: an analysed sweep.
        title: what the figure is of, shown above it.
        summary: what it shows in a line or two, shown below the title.
    """
    with styled():
        figure = HoverFigure(figsize=(7.2, 4.8), layout="constrained")
        columns = len(result.arms)
        widths = [1.0, 0.075 * columns] if columns else [1.0]
        parts = np.atleast_1d(figure.subplots(1, len(widths), sharey=True, width_ratios=widths))
        axes = parts[0]
        _limits(axes, result)
        _runs(figure, axes, result)
        _curve(figure, axes, result)
        _gain(axes, result)
        _failures(axes, result)
        if columns:
            _arms(figure, parts[1], result)
        axes.set_xlabel(RHO)
        axes.set_ylabel("validation loss (nats/token)")
        figure.suptitle(title, x=0.01, ha="left", fontsize=11, color=INK)
        axes.set_title(summary, loc="left", fontsize=9, color=INK)
        legend_below(figure, 3)
        for side in parts[1:]:
            side.spines["left"].set_visible(False)
    return figure


def _limits(axes: Axes, result: SweepAnalysis) -> None:
    """Fit the window to the curve's runs and band; an arm far away must not squash it."""
    losses = result.sweep.curve["validation_loss"].to_numpy(float)
    low, high = losses.min(), losses.max()
    height = max(high - low, 1e-6)
    near = [arm.loss for arm in result.arms if low - 0.5 * height < arm.loss < high + 0.5 * height]
    if result.band is not None:
        # A band that runs away between two points may leave the window.
        near += [
            max(float(result.band.min()), low - 0.5 * height),
            min(float(result.band.max()), high + 0.5 * height),
        ]
    low, high = min([low, *near]), max([high, *near])
    axes.set_ylim(low - 0.08 * (high - low), high + 0.08 * (high - low))
    rho = result.means.rho
    span = rho[-1] - rho[0]
    axes.set_xlim(rho[0] - 0.04 * span, rho[-1] + 0.08 * span)  # room for the gain at the right
    step = 0.1 if span <= 0.65 else 0.2
    axes.set_xticks(np.arange(np.ceil(rho[0] / step - 1e-9) * step, rho[-1] + 1e-9, step))


def _runs(figure: HoverFigure, axes: Axes, result: SweepAnalysis) -> None:
    runs = result.sweep.curve
    label = f"runs, {result.means.seeds} seed{'s' if result.means.seeds > 1 else ''}"
    if len(runs) > MAX_SPOTS:
        # Not joined, and as pixels in vector formats too: as shapes they would take seconds.
        axes.plot(
            runs["rho"], runs["validation_loss"], **DOTS, label=label, zorder=3, rasterized=True
        )
    else:
        # One line with a gap after each seed: one artist for all is drawn many times faster.
        gap = pd.DataFrame({"rho": [np.nan], "validation_loss": [np.nan]})
        seeds = pd.concat(
            [part for _, one in runs.groupby("seed") for part in (one[list(gap)], gap)]
        )
        axes.plot(
            seeds["rho"], seeds["validation_loss"], **{**DOTS, "ls": "-"}, label=label, zorder=3
        )
    figure.say(axes, runs["rho"], runs["validation_loss"], run_words(runs), ids_of(runs))
    odd = runs[result.means.outliers]
    if len(odd):
        axes.plot(
            odd["rho"],
            odd["validation_loss"],
            "o",
            ms=9,
            mfc="none",
            mec=WRONG,
            label="outlying run",
        )


def _curve(figure: HoverFigure, axes: Axes, result: SweepAnalysis) -> None:
    near, grid, fit = result.near_optimal, result.curve.grid, result.curve.chosen.curve
    within = f"within {result.delta:g} nats of the lowest"
    axes.axvspan(near.low, near.high, color=NEAR, alpha=0.25, lw=0, label=within, zorder=0)
    if result.band is not None:
        band = f"{percent(result.level)} band"
        axes.fill_between(grid, *result.band, color=CURVE, alpha=0.2, lw=0, label=band, zorder=2)
    axes.plot(grid, fit, color=CURVE, lw=2, label="fit", zorder=4)
    at = np.linspace(0, len(grid) - 1, CURVE_SPOTS).round().astype(int)
    limits = [""] * len(grid)
    if result.band is not None:
        limits = [f" [{low:.4f}, {high:.4f}]" for low, high in result.band.T]
    words = [f"fit at ρ = {grid[i]:.3f}\nloss {fit[i]:.4f}{limits[i]} nats/token" for i in at]
    figure.say(axes, grid[at], fit[at], words)
    _mark_optimum(axes, result, float(fit.min()))


def _mark_optimum(axes: Axes, result: SweepAnalysis, lowest: float) -> None:
    """Draw rho* as a diamond on the curve, and its interval as a bar above the axis of rho."""
    best, value = result.rho_star, result.near_optimal.value
    diamond: dict[str, Any] = {"marker": "D", "color": CURVE, "mec": "white", "mew": 0.8}
    axes.plot([value], [lowest], ms=6, zorder=5, **diamond)
    low, high = (value if end is None else end for end in (best.low, best.high))
    limits = "" if best.low is None else f", {percent(result.level)} interval"
    axes.errorbar(
        [value],
        [0.035],
        xerr=[[value - low], [high - value]],
        ms=5,
        elinewidth=1.6,
        capsize=3,
        transform=axes.get_xaxis_transform(),
        label=f"ρ*, lowest of the fit{limits}",
        **diamond,
    )


def _gain(axes: Axes, result: SweepAnalysis) -> None:
    """Draw the gain over rho = 1 as an arrow beside the last point."""
    gain, curve, grid = result.gain_over_moe, result.curve.chosen.curve, result.curve.grid
    if gain.value is None or gain.value <= 0:
        return
    x = grid[-1] + 0.03 * (grid[-1] - grid[0])
    axes.plot(
        [result.near_optimal.value, x], [curve.min()] * 2, color=CURVE, lw=0.8, ls=":", zorder=1
    )
    ends = {"arrowstyle": "<->", "color": INK, "lw": 1.0, "shrinkA": 0, "shrinkB": 0}
    axes.annotate("", (x, curve.min()), (x, curve[-1]), arrowprops=ends)
    axes.annotate(
        f"gain {number(gain.value, decimals_of(gain, 4))}",
        (x, (curve.min() + curve[-1]) / 2),
        (3, 0),
        textcoords="offset points",
        rotation=90,
        va="center",
        fontsize=8.5,
        color=INK,
    )


def _arms(figure: HoverFigure, axes: Axes, result: SweepAnalysis) -> None:
    """Control arms at the side, on the same scale; an arrow and the number if one lies outside."""
    low, high = axes.get_ylim()
    for x, arm in enumerate(result.arms):
        runs = runs_of(result.sweep, arm.arm, arm.rho)
        at = [x] * len(runs)
        figure.say(axes, at, runs["validation_loss"], run_words(runs), ids_of(runs))
        if low <= arm.loss <= high:
            axes.plot(at, runs["validation_loss"], **DOTS)
            axes.plot([x - 0.3, x + 0.3], [arm.loss] * 2, color=INK, lw=1.8)
        else:
            above = arm.loss > high
            axes.plot(
                [x],
                [0.97 if above else 0.03],
                "^" if above else "v",
                color=INK,
                ms=6,
                transform=axes.get_xaxis_transform(),
            )
            axes.annotate(
                f"{arm.loss:.3f}",
                (x, 0.93 if above else 0.07),
                xycoords=axes.get_xaxis_transform(),
                rotation=90,
                ha="center",
                va="top" if above else "bottom",
                fontsize=8,
            )
    axes.set_xlim(-0.6, len(result.arms) - 0.4)
    names = [ARMS[arm.arm].label for arm in result.arms]
    names = [
        name if names.count(name) == 1 else f"{name}, ρ = {arm.rho:.2f}"
        for name, arm in zip(names, result.arms, strict=True)
    ]
    axes.set_xticks(range(len(names)), names, rotation=40, ha="right", fontsize=8.5)
    axes.tick_params(left=False, labelleft=False)


def _failures(axes: Axes, result: SweepAnalysis) -> None:
    """Mark runs without a loss: a cross on the axis at their rho."""
    failed = result.sweep.failed["rho"]
    failed = failed[failed.between(*axes.get_xlim())]
    if len(failed):
        axes.plot(
            failed,
            [0.02] * len(failed),
            "x",
            color=WRONG,
            ms=6,
            transform=axes.get_xaxis_transform(),
            label="no loss (failed or diverged)",
            clip_on=False,
        )
