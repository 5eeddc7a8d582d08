"""How far the gates open, by how often training showed the n-gram."""

from matplotlib.figure import Figure

from analysis.figures.style import INK, legend_below, styled
from analysis.inside.gates import GatesAnalysis
from analysis.inside.strata import COPIES, COUNTS

COLOURS = ("#1f5fa8", "#f2b84b", "#7b4fa3", "#3b8f5a", "#c0504d", "#7a7f8c", "#22223b", "#8ab6d6")
"""Of the values of rho, ascending; more than these share colours."""


def gates_by_stratum(result: GatesAnalysis, title: str) -> Figure:
    """Draw the mean gate of every stratum, one panel per block, all streams in it.

    Args:
        result: the analysed gates.
        title: what the figure is of, shown above it.
    """
    blocks = sorted({one.block for one in result.gates})
    rhos = sorted({one.rho for one in result.gates})
    names = [n for n in (*COUNTS, *COPIES) if any(n in one.by_stratum for one in result.gates)]
    with styled():
        figure = Figure(figsize=(max(4.2 * len(blocks), 6.4), 3.8), layout="constrained")
        panels = figure.subplots(1, len(blocks), sharey=True, squeeze=False)[0]
        for axes, block in zip(panels, blocks, strict=True):
            for one in (gate for gate in result.gates if gate.block == block):
                colour = COLOURS[rhos.index(one.rho) % len(COLOURS)]
                # Values of rho stand side by side within a stratum.
                shift = 0.5 * (rhos.index(one.rho) + 0.5) / len(rhos) - 0.25
                for at, name in enumerate(names):
                    mean = one.by_stratum.get(name)
                    if mean is None or mean.value is None:
                        continue
                    axes.plot(at + shift, mean.value, "o", ms=3.5, color=colour)
                    if mean.low is not None and mean.high is not None:
                        axes.plot([at + shift] * 2, [mean.low, mean.high], color=colour, lw=1)
            axes.set_xticks(range(len(names)), names, rotation=40, ha="right", fontsize=9)
            axes.set_title(f"block {block}")
            axes.set_ylim(-0.02, 1.02)
        panels[0].set_ylabel("mean gate")
        for rho in rhos:
            panels[0].plot([], [], "o", color=COLOURS[rhos.index(rho) % len(COLOURS)],
                           label=f"ρ {rho:.2f}")  # fmt: skip
        legend_below(figure, 5)
        figure.suptitle(title, x=0.01, ha="left", color=INK, fontsize=11)
    return figure
