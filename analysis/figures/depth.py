"""How early a prediction is ready: KL to the final output, layer by layer."""

import numpy as np
from matplotlib.figure import Figure

from analysis.figures.gates import COLOURS
from analysis.figures.style import INK, styled
from analysis.inside.depth import DepthAnalysis


def divergence_by_layer(result: DepthAnalysis, title: str) -> Figure:
    """Draw KL(final || layer) of every rho over the layers.

    Args:
        result: the analysed layers.
        title: what the figure is of, shown above it.
    """
    with styled():
        figure = Figure(figsize=(6.4, 4.0), layout="constrained")
        axes = figure.subplots()
        for number, rho in enumerate(result.rhos):
            colour = INK if rho == 1 else COLOURS[number % len(COLOURS)]
            layers = result.at(rho)
            label = "pure MoE" if rho == 1 else f"ρ {rho:.2f}"
            values = np.array([one.kl.value for one in layers], float)
            axes.plot([one.layer for one in layers], values, "o-", ms=4, color=colour, label=label)
            for one in layers:
                if one.kl.low is not None and one.kl.high is not None:
                    axes.plot([one.layer] * 2, [one.kl.low, one.kl.high], color=colour, lw=1)
        axes.set_xticks(sorted({one.layer for one in result.layers}))
        axes.set_xlabel("layer")
        axes.set_ylabel("KL(final ‖ layer), nats/token")
        axes.set_title(title, loc="left", color=INK)
        axes.legend(frameon=False, fontsize=8.5)
    return figure
