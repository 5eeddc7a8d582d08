"""Pictures of noise: residuals along rho, what a design can find, what an interval promises."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import seaborn as sns

from analysis.figures.hover import HoverFigure
from analysis.figures.style import CURVE, INK, SEEDS, styled
from analysis.sweep.sweep_analysis import SweepAnalysis

MISS = "#c0392b"


def residuals_over_rho(result: SweepAnalysis) -> HoverFigure:
    """Return every run's loss beyond its rho's mean and its seed's shift.

    Noise that differs along rho shows as a funnel; a seed that tilts, as a colour that goes from
    below to above.
    """
    runs = result.sweep.curve
    table = pd.DataFrame(
        {"ρ": runs["rho"], "seed": runs["seed"], "residual": result.means.residuals.raw}
    )
    with styled():
        figure = HoverFigure(figsize=(7.2, 2.8), layout="constrained")
        axes = figure.add_subplot()
        axes.axhline(0, color=INK, lw=0.6)
        sns.stripplot(
            table,
            x="ρ",
            y="residual",
            hue="seed",
            palette="viridis",
            jitter=False,
            native_scale=True,
            size=6,
            ax=axes,
        )
        axes.set_ylabel("residual (nats/token)")
        axes.legend(
            title="seed", frameon=False, fontsize=8.5, loc="center left", bbox_to_anchor=(1, 0.5)
        )
    return figure


def power_over_gain(
    gains: Sequence[float], found: Mapping[str, Sequence[float]], wanted: float
) -> HoverFigure:
    """Return how often a gain is told from none, one line per design.

    Args:
        gains: true gains, nats/token.
        found: power at each of them, by the design's name.
        wanted: a power to aim for, drawn as a line.
    """
    gain, share = "true gain over ρ = 1 (nats/token)", "share of sweeps that claim one"
    table = pd.DataFrame(found, index=pd.Index(gains, name=gain)).melt(
        ignore_index=False, var_name="design", value_name=share
    )
    with styled():
        figure = HoverFigure(figsize=(7.2, 3.2), layout="constrained")
        axes = figure.add_subplot()
        axes.axhline(wanted, color=SEEDS, lw=0.8, ls=":")
        shades = sns.light_palette(CURVE, len(found) + 1)[1:]
        sns.lineplot(
            table.reset_index(), x=gain, y=share, hue="design", palette=shades, marker="o", ax=axes
        )
        axes.set_ylim(-0.03, 1.03)
        axes.legend(frameon=False, fontsize=8.5)
    return figure


def intervals_and_truth(intervals: np.ndarray, truth: float, unit: str) -> HoverFigure:
    """Intervals of repeated sweeps beside the truth; those that miss it are red.

    Args:
        intervals: low, value and high of each sweep, shape (S, 3).
        truth: what they should hold.
        unit: label of the axis.
    """
    with styled():
        figure = HoverFigure(figsize=(7.2, 2.8), layout="constrained")
        axes = figure.add_subplot()
        axes.axhline(truth, color=INK, lw=0.8)
        for place, (low, value, high) in enumerate(intervals):
            color = CURVE if low <= truth <= high else MISS
            axes.plot([place, place], [low, high], color=color, lw=2)
            axes.plot(place, value, "o", color=color, ms=4)
        axes.set_xticks([])
        axes.set_xlabel("simulated sweeps")
        axes.set_ylabel(unit)
    return figure
