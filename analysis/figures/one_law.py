"""The laws over all losses: curves of all conditions on one panel, rho* and the gain over size."""

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes as Panel

from analysis.curve.readings import Interval
from analysis.figures.hover import HoverFigure
from analysis.figures.style import CURVE, INK, NEAR, RHO, styled
from analysis.scaling.joint import JointAnalysis
from analysis.scaling.raw_laws import RawLaws
from engram_sweep.planning.axes import AXES

PAPER_TOKENS_PER_ACTIVE = 103.0
"""Training length of the paper's sweep (3.1): up to it the law is drawn along that axis."""
BEYOND = 1.0
"""Doublings beyond the largest condition that the law is drawn on other axes."""
APART = 0.3
"""Doublings between two labels of an axis, so that they do not overlap."""
POINTS = 41
"""Points of a line over sizes."""


def one_law(joint: JointAnalysis, title: str) -> HoverFigure:
    """Draw what the laws over all losses say.

    Left: losses above that of the law at rho = 1, a colour per size that the laws are fitted to;
    lines are the mean of the laws in play, dots the mean losses that were measured. Right: rho* and
    the gain over the axis, line and band of all laws in play, dots all conditions by themselves; on
    yellow ground the law extrapolates.

    Args:
        joint: conditions with laws over all losses, of which one is in play.
        title: what the figure is of.

    Raises:
        ValueError: there are none, or all are refuted.
    """
    raw, fit = joint.raw, joint.scaling
    if raw is None or fit is None or not raw.in_play:
        raise ValueError("no law over all losses is in play, so there is nothing to draw")
    positions = fit.axes.positions[:, 0]
    with styled():
        figure = HoverFigure(figsize=(9.6, 5.0), layout="constrained")
        curves, above, below = figure.subplot_mosaic(
            [["curves", "rho_star"], ["curves", "gain_over_moe"]], width_ratios=(1.15, 1)
        ).values()
        _curves(curves, joint, raw, positions)
        places = _places(raw, positions)
        read = raw.predict_along(places)
        for panel, quantity in ((above, "rho_star"), (below, "gain_over_moe")):
            value, low, high = _columns([getattr(one, quantity) for one in read])
            panel.fill_between(2**places, low, high, color=CURVE, alpha=0.2, lw=0)
            panel.plot(2**places, value, color=CURVE, lw=1.8)
            _conditions(panel, joint, positions, quantity)
            _size_axis(panel, raw, positions, float(places[-1]))
        above.set_ylabel("ρ*")
        above.set_ylim(-0.03, 1.03)
        below.set_ylabel("gain over ρ = 1\n(nats/token)")
        below.set_xlabel(AXES[raw.axis].label)
        figure.legend(
            *curves.get_legend_handles_labels(),
            title=AXES[raw.axis].label,
            loc="outside lower center",
            ncols=len(raw.sizes),
            frameon=False,
            fontsize=9,
            title_fontsize=9,
        )
        figure.suptitle(title, x=0.01, ha="left", color=INK)
    return figure


def _curves(panel: Panel, joint: JointAnalysis, raw: RawLaws, positions: np.ndarray) -> None:
    grid = np.linspace(raw.lowest, 1, 161)
    fitted = [i for i in np.argsort(positions) if not raw.leaves_out(float(positions[i]))]
    colours = colormaps["viridis"](np.linspace(0.85, 0.1, len(fitted)))
    for colour, number in zip(colours, fitted, strict=True):
        position, means = float(positions[number]), joint.sweeps[number].means
        size = position - raw.centre
        at_one = _mean_of_laws(raw, size, np.ones(1))
        panel.plot(grid, _mean_of_laws(raw, size, grid) - at_one, color=colour, lw=1.8)
        panel.plot(
            means.rho,
            means.loss - at_one,
            "o",
            color=colour,
            ms=4.5,
            mec="white",
            mew=0.4,
            label=f"{2**position:.3g}",
        )
    panel.axhline(0, color=INK, lw=0.7, ls=":")
    panel.set_xlabel(RHO, fontsize=9)
    panel.set_ylabel("loss above the law at ρ = 1 (nats/token)")


def _mean_of_laws(raw: RawLaws, size: float, rho: np.ndarray) -> np.ndarray:
    sizes = np.full(len(rho), size)
    return np.mean([raw.laws[i].curves(sizes, rho) for i in raw.in_play], axis=0)


def _places(raw: RawLaws, positions: np.ndarray) -> np.ndarray:
    """Return where the laws are read, log2 of the axis: from their smallest size on."""
    end = float(positions.max()) + BEYOND
    if raw.axis == "tokens_per_active":
        end = max(float(positions.max()), float(np.log2(PAPER_TOKENS_PER_ACTIVE)))
    return np.linspace(raw.centre + raw.sizes[0], end, POINTS)


def _conditions(panel: Panel, joint: JointAnalysis, positions: np.ndarray, quantity: str) -> None:
    value, low, high = _columns([getattr(sweep, quantity) for sweep in joint.sweeps])
    panel.errorbar(
        2**positions, value, np.stack([value - low, high - value]), fmt="o", color=INK, ms=4, lw=1
    )


def _size_axis(panel: Panel, raw: RawLaws, positions: np.ndarray, end: float) -> None:
    """Shade what is extrapolated, and label the conditions and the end."""
    panel.axvspan(2 ** float(positions.max()), 2**end, color=NEAR, alpha=0.15, lw=0, zorder=0)
    panel.set_xscale("log")
    if raw.axis != "budget":  # few round values, which a logarithmic axis would not label
        ticks = [float(positions.min())]
        for place in sorted([*positions, end]):
            if place - ticks[-1] > APART:
                ticks.append(float(place))
        panel.set_xticks([2**x for x in ticks], [f"{2**x:.3g}" for x in ticks])
        panel.minorticks_off()


def _columns(read: list[Interval]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return values and limits; a limit that is not known is the value."""
    value = np.array([one.value for one in read], dtype=float)
    low, high = (
        np.where(np.isfinite(ends), ends, value)
        for ends in (
            np.array([one.low for one in read], dtype=float),
            np.array([one.high for one in read], dtype=float),
        )
    )
    return value, low, high
