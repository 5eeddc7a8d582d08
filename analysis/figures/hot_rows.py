"""Hit rate of a cache of the most frequent rows against its share of the table."""

import numpy as np
from matplotlib.figure import Figure

from analysis.figures.gates import COLOURS
from analysis.figures.style import INK, SEEDS, legend_below, styled
from analysis.inside.hot_rows import HotRowsAnalysis


def hits_over_share(result: HotRowsAnalysis, title: str) -> Figure:
    """Draw the hit rate over the cache's share of the rows, one panel per table and order.

    Args:
        result: the analysed caches.
        title: what the figure is of, shown above it.
    """
    places = sorted({(one.table, one.order) for one in result.rates})
    rhos = sorted({one.rho for one in result.rates})
    alike = np.geomspace(min(one.share for one in result.rates), 1.0, 50)
    ticks = [tick for tick in (0.001, 0.01, 0.1, 1.0) if tick >= alike[0] - 1e-9]
    with styled():
        figure = Figure(figsize=(max(3.4 * len(places), 6.4), 3.6), layout="constrained")
        panels = figure.subplots(1, len(places), sharey=True, squeeze=False)[0]
        for axes, (table, order) in zip(panels, places, strict=True):
            for rho in rhos:
                rates = [
                    r for r in result.rates if (r.rho, r.table, r.order) == (rho, table, order)
                ]
                if not rates:
                    continue
                colour = COLOURS[rhos.index(rho) % len(COLOURS)]
                shares = [one.share for one in rates]
                label = f"ρ {rho:.2f}"
                axes.plot(
                    shares, [r.hits.value for r in rates], "o-", ms=3, color=colour, label=label
                )
                known = [r for r in rates if r.hits.low is not None and r.hits.high is not None]
                axes.fill_between(
                    [r.share for r in known],
                    [r.hits.low or 0.0 for r in known],
                    [r.hits.high or 0.0 for r in known],
                    color=colour,
                    alpha=0.15,
                    lw=0,
                )
            # What rows that are all alike would give.
            axes.plot(alike, alike, ":", color=SEEDS, lw=1)
            axes.set_xscale("log")
            axes.set_xticks(ticks, [f"{100 * tick:g} %" for tick in ticks])
            axes.minorticks_off()
            axes.set_title(f"table {table}, order {order}")
            axes.set_xlabel("share of the rows in the cache")
        panels[0].set_ylabel("look-ups served")
        legend_below(figure, 5, panels[0])
        figure.suptitle(title, x=0.01, ha="left", color=INK, fontsize=11)
    return figure
