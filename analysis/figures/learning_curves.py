"""How the training loss falls at every rho: as it is, and relative to the largest rho."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import EngFormatter

from analysis.figures.hover import HoverFigure
from analysis.figures.style import INK, series, styled
from analysis.runs.places import Place, by_size, places, values

SHOWN_FROM, COMPARED_FROM = 0.1, 0.3
"""Shares of the training before which losses, and differences of losses, may lie outside of the
window: they change steeply there."""
SPOTS = 25
"""Points of a curve that say their loss."""
COLUMNS = 9
"""Entries in a row of the legend."""


def learning_curves(runs: pd.DataFrame, title: str) -> HoverFigure | None:
    """Draw the training loss over the tokens seen, a line per rho (mean of its seeds).

    At the right each rho is compared with the largest one, seed by seed: runs of a seed read the
    same batches, so what a batch has of its own drops out.

    Args:
        runs: the runs of one curve.
        title: what the figure is of.

    Returns:
        The figure; None if the table holds no training losses.
    """
    curves = [(place, losses_by_seed(place)) for place in places(runs)]
    curves = [(place, losses) for place, losses in curves if len(losses)]
    if not curves:
        return None
    last, reference = curves[-1]
    kind = "" if by_size(runs) else "ρ = "
    with styled():
        figure = HoverFigure(figsize=(9.6, 4.2), layout="constrained")
        left, right = figure.subplots(1, 2)
        for colour, (place, losses) in zip(series(len(curves)), curves, strict=True):
            beyond = (losses - reference).dropna(axis=1, how="all").mean(axis=1).dropna()
            name = f"{kind}{place.label}"
            _line(figure, left, losses.mean(axis=1), colour, name)
            _line(figure, right, beyond, colour, f"{name} minus {kind}{last.label}")
        _window(left, SHOWN_FROM)
        _window(right, COMPARED_FROM)
        left.set_ylabel("training loss (nats/token)")
        right.set_ylabel(f"minus that at {kind}{last.label}")
        right.axhline(0, color=INK, lw=0.6)
        figure.suptitle(title, x=0.01, ha="left", fontsize=11, color=INK)
        handles = left.get_lines()
        labels = [place.label for place, _ in curves]
        columns = min(len(labels), COLUMNS)
        figure.legend(
            handles,
            labels,
            title=kind.removesuffix(" = "),
            frameon=False,
            fontsize=8.5,
            title_fontsize=9,
            loc="outside lower center",
            ncols=columns,
        )
    return figure


def losses_by_seed(place: Place) -> pd.DataFrame:
    """Return the training losses of a place, nats/token, tokens seen x seeds.

    A run that was read out at other steps than most is left out, and of runs of one seed that was
    trained again the later ones.
    """
    runs = place.runs.drop_duplicates("seed")
    if not {"steps", "tokens"} <= set(runs):
        return pd.DataFrame()
    curves = list(zip(values(runs, "curve_steps"), values(runs, "curve_losses"), strict=True))
    lengths = [len(losses) if len(losses) == len(steps) else 0 for steps, losses in curves]
    usual = max(set(lengths), key=lengths.count, default=0)
    kept = [row for row, length in enumerate(lengths) if length == usual]
    if not usual:
        return pd.DataFrame()
    first = runs.iloc[kept[0]]
    return pd.DataFrame(
        np.stack([curves[row][1] for row in kept], axis=1),
        index=curves[kept[0]][0] * first["tokens"] / first["steps"],
        columns=runs["seed"].iloc[kept],
    )


def _line(
    figure: HoverFigure, axes: Axes, line: pd.Series, colour: tuple[float, ...], name: str
) -> None:
    axes.plot(line.index, line, color=colour, lw=1.4)
    if line.empty:
        return
    shown = line.iloc[np.unique(np.linspace(0, len(line) - 1, SPOTS).round().astype(int))]
    words = [
        f"{name}\n{loss:.4f} nats/token after {tokens:,.0f} tokens"
        for tokens, loss in zip(shown.index, shown, strict=True)
    ]
    figure.say(axes, shown.index, shown, words)


def _window(axes: Axes, start: float) -> None:
    """Fit the window to the later part of the training."""
    late = []
    for line in axes.get_lines():
        x, y = (np.asarray(one, float) for one in line.get_data())
        late += list(y[x >= start * x.max()]) if len(x) else []
    if late:
        low, high = min(late), max(late)
        reach = max(high - low, 1e-6)
        axes.set_ylim(low - 0.05 * reach, high + 0.05 * reach)
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    axes.set_xlabel("training tokens")
