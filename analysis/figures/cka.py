"""Likeness of a hybrid's layers to those of pure MoE, and the layer that each is like."""

import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from analysis.figures.style import CURVE, INK, SEEDS, styled
from analysis.inside.cka import CkaAnalysis

MAX_COLUMNS = 5
"""Panels side by side."""


def alignment_by_layer(result: CkaAnalysis, title: str) -> Figure:
    """Draw the CKA of every rho as a heat map, with the index of each layer and that of the null.

    Args:
        result: the compared layers.
        title: what the figure is of, shown above it.
    """
    rhos = sorted({one.rho for one in result.layers})
    with styled():
        columns = min(len(rhos), MAX_COLUMNS)
        lines = -(-len(rhos) // columns)
        size = (max(2.2 * columns, 5.4) + 1, 2.6 * lines + 0.4)
        figure = Figure(figsize=size, layout="constrained")
        panels = figure.subplots(lines, columns, sharey=True, squeeze=False).ravel()
        for spare in panels[len(rhos) :]:
            spare.set_axis_off()
        shades = ScalarMappable(Normalize(0, 1), "Greys")
        for axes, rho in zip(panels, rhos, strict=False):
            layers = [one for one in result.layers if one.rho == rho]
            likeness = np.stack([one.likeness for one in layers])
            axes.pcolormesh(
                np.arange(likeness.shape[1] + 1) + 0.5,
                np.arange(len(layers) + 1) + 0.5,
                likeness,
                cmap=shades.cmap,
                norm=shades.norm,
            )
            own = [one.layer for one in layers]
            axes.plot([one.index.value for one in layers], own, "o-", color=CURVE, ms=4)
            axes.plot([one.null for one in layers], own, "x:", color=SEEDS, ms=4)
            axes.set_xticks(own)
            axes.set_yticks(own)
            axes.set_title("pure MoE, other seed" if rho == 1 else f"ρ {rho:.2f}", fontsize=9)
            axes.set_xlabel("layer of pure MoE", fontsize=9)
        panels[0].set_ylabel("layer")
        figure.colorbar(shades, ax=panels, label="CKA")
        figure.suptitle(title, x=0.01, ha="left", color=INK, fontsize=11)
    return figure
