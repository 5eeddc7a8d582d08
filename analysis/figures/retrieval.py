"""What is found inside the window, over the distance to it."""

import numpy as np
from matplotlib.figure import Figure

from analysis.figures.gates import COLOURS
from analysis.figures.style import INK, SEEDS, styled
from analysis.inside.retrieval import ALL, RetrievalAnalysis, kind


def match_over_distance(result: RetrievalAnalysis, title: str) -> Figure:
    """Draw exact match of every rho after the longest training, one panel for each kind.

    Args:
        result: the analysed answers.
        title: what the figure is of, shown above it.
    """
    longest = max(cell.steps for cell in result.cells)
    cells = [cell for cell in result.cells if cell.steps == longest and cell.distance != ALL]
    ticks = sorted({cell.distance for cell in cells})
    with styled():
        figure = Figure(figsize=(10.0, 3.6), layout="constrained")
        panels = figure.subplots(1, len(result.hops), sharex=True, sharey=True, squeeze=False)[0]
        for axes, hops in zip(panels, result.hops, strict=True):
            for number, rho in enumerate(sorted({cell.rho for cell in cells})):
                colour = INK if rho == 1 else COLOURS[number % len(COLOURS)]
                label = "pure MoE" if rho == 1 else f"ρ {rho:.2f}"
                here = [cell for cell in cells if (cell.hops, cell.rho) == (hops, rho)]
                distances = [cell.distance for cell in here]
                values = np.array([cell.match.value for cell in here], float)
                axes.plot(distances, values, "o-", ms=4, color=colour, label=label)
                for cell in here:
                    if cell.match.low is not None and cell.match.high is not None:
                        limits = [cell.match.low, cell.match.high]
                        axes.plot([cell.distance] * 2, limits, color=colour, lw=1)
            axes.axhline(result.of(hops)[0].guess, color=SEEDS, lw=1, ls=":")
            axes.set_xscale("log", base=2)
            axes.set_xticks(ticks, [str(tick) for tick in ticks])
            axes.set_ylim(-0.02, 1.02)
            axes.set_title(kind(hops), loc="left", fontsize=10)
        panels[0].set_ylabel("exact match")
        panels[0].legend(frameon=False, fontsize=8.5)
        figure.supxlabel("tokens back to the value, up to twice as many", fontsize=10)
        figure.suptitle(title, x=0.01, ha="left", color=INK, fontsize=11)
    return figure
