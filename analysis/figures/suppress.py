"""Loss along rho with the memory in place and without it, by class of token."""

from matplotlib.figure import Figure

from analysis.figures.style import CURVE, INK, NEAR, SEEDS, legend_below, styled
from analysis.inside.suppress import CLASSES, MODES, SuppressAnalysis

LOOKS = {
    "whole": (CURVE, "o-"),
    "skipped": (INK, "s-"),
    "shuffled": (SEEDS, "x--"),
    "mean row": (SEEDS, "^:"),
    "skipped, retrained": (NEAR, "D-"),
    "whole, retrained": (CURVE, "+:"),
}
"""Colour and marker of each mode."""


def loss_without_memory(result: SuppressAnalysis, title: str) -> Figure:
    """Draw the loss of every mode over rho, one panel per class.

    Args:
        result: the analysed suppression.
        title: what the figure is of, shown above it.
    """
    kinds = [kind for kind in CLASSES if any(one.kind == kind for one in result.cells)]
    with styled():
        figure = Figure(figsize=(2.6 * len(kinds) + 0.8, 3.6), layout="constrained")
        panels = figure.subplots(1, len(kinds), sharey=True, squeeze=False)[0]
        for axes, kind in zip(panels, kinds, strict=True):
            for mode in MODES:
                cells = [one for one in result.cells if (one.kind, one.mode) == (kind, mode)]
                colour, marks = LOOKS[mode]
                values = [one.loss.value for one in cells]
                axes.plot(
                    [one.rho for one in cells], values, marks, color=colour, ms=4, lw=1, label=mode
                )
                for one in cells:
                    if one.loss.low is not None and one.loss.high is not None:
                        axes.plot([one.rho] * 2, [one.loss.low, one.loss.high], color=colour, lw=1)
            if result.moe:
                axes.axhline(result.moe[kind], color=SEEDS, lw=1, ls=":", label="pure MoE")
            tokens = next(one.tokens for one in result.cells if one.kind == kind)
            axes.set_title(f"{kind} ({tokens:.0%})")
            axes.set_xlabel("ρ")
        panels[0].set_ylabel("loss (nats/token)")
        legend_below(figure, 4, panels[0])
        figure.suptitle(title, x=0.01, ha="left", color=INK, fontsize=11)
    return figure
