"""Pictures of noise: what is left of every run along rho, what a design can tell, what an interval promises."""

from collections.abc import Mapping, Sequence

import numpy as np
import seaborn as sns
from matplotlib.figure import Figure

from analysis.plots import CURVE, DOTS, INK, SEEDS, styled
from analysis.study import Study

MISS = "#c0392b"


def residuals_over_rho(study: Study) -> Figure:
    """Every run's loss beyond its rho's mean and its seed's shift; noise that differs along rho shows as a funnel."""
    with styled():
        figure = Figure(figsize=(7.2, 2.8), layout="constrained")
        axes = figure.add_subplot()
        axes.axhline(0, color=INK, lw=0.6)
        axes.plot(study.sweep.curve["rho"], study.means.residuals, **{**DOTS, "ms": 6, "alpha": 0.9})
        axes.set_xlabel(r"$\rho$")
        axes.set_ylabel("residual (nats/token)")
        sns.despine(fig=figure)
    return figure


def power_over_gain(gains: Sequence[float], found: Mapping[str, Sequence[float]], wanted: float) -> Figure:
    """How often a gain is told from none, one line per design.

    Args:
        gains: true gains, nats/token.
        found: power at each of them, by the design's name.
        wanted: a power to aim for, drawn as a line.
    """
    with styled():
        figure = Figure(figsize=(7.2, 3.2), layout="constrained")
        axes = figure.add_subplot()
        axes.axhline(wanted, color=SEEDS, lw=0.8, ls=":")
        for shade, (name, share) in zip(np.linspace(0.35, 1, len(found)), found.items(), strict=True):
            axes.plot(gains, share, "o-", color=CURVE, alpha=shade, ms=4, label=name)
        axes.set_ylim(-0.03, 1.03)
        axes.set_xlabel(r"true gain over $\rho$ = 1 (nats/token)")
        axes.set_ylabel("share of sweeps that claim one")
        axes.legend(frameon=False, fontsize=8.5)
        sns.despine(fig=figure)
    return figure


def intervals_and_truth(intervals: np.ndarray, truth: float, unit: str) -> Figure:
    """Intervals of repeated sweeps beside the truth; those that miss it are red.

    Args:
        intervals: low, value and high of each sweep, shape (S, 3).
        truth: what they should hold.
        unit: label of the axis.
    """
    with styled():
        figure = Figure(figsize=(7.2, 2.8), layout="constrained")
        axes = figure.add_subplot()
        axes.axhline(truth, color=INK, lw=0.8)
        for place, (low, value, high) in enumerate(intervals):
            color = CURVE if low <= truth <= high else MISS
            axes.plot([place, place], [low, high], color=color, lw=2)
            axes.plot(place, value, "o", color=color, ms=4)
        axes.set_xticks([])
        axes.set_xlabel("simulated sweeps")
        axes.set_ylabel(unit)
        sns.despine(fig=figure)
    return figure
