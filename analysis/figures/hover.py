"""Figures that know what lies at their points, so that a page can show it under the pointer."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.figures.style import render
from engram_sweep.planning.arms import arm_of

POINTS_PER_INCH = 72
"""Of an SVG file."""
MAX_SPOTS = 2000
"""Points of one kind; of more nothing is said, and they are drawn as pixels: a page would be
megabytes, and slow."""
SAID = (
    "rho", "seed", "validation_loss", "arm", "run_id", "device", "host", "wall_seconds",
    "tokens_per_second",
)  # fmt: skip
"""Columns of a run that are said of it."""
SHOWN_PER_INCH, NOTEBOOK_DPI = 100, 130
"""Pixels of a notebook's page, and of the picture in it: notebooks are kept with their outputs."""


@dataclass(frozen=True)
class Spot:
    """A point of a drawn figure and what is said there."""

    x: float
    """From the left edge, in points."""
    y: float
    """From the upper edge, in points."""
    words: str
    """Lines of plain text."""
    run_id: str = ""
    """The run that the point is, if it is one."""


class HoverFigure(Figure):
    """A matplotlib figure with words at some of its points.

    To everything that draws it, it is a plain figure. A notebook shows it as the report does, also
    after something in it was changed, e.g. `figure.axes[0].set_ylim(1.1, 1.3)`.
    """

    def __init__(self, *args, **settings):
        super().__init__(*args, **settings)
        self._said: list[tuple[Axes, np.ndarray, list[str], list[str]]] = []

    def say(
        self,
        axes: Axes,
        x: Iterable[float],
        y: Iterable[float],
        words: Sequence[str],
        run_ids: Sequence[str] = (),
    ) -> None:
        """Say something at points, if they are no more than MAX_SPOTS.

        Args:
            axes: where they are drawn.
            x: their place in data coordinates, shape (n,).
            y: the same, shape (n,).
            words: lines of plain text, one string a point, e.g. "rho 0.25\\nloss 1.1702".
            run_ids: of the runs that the points are; empty if they are none.
        """
        places = np.column_stack([np.asarray(x, float), np.asarray(y, float)])
        if len(places) > MAX_SPOTS:
            return
        self._said.append((axes, places, list(words), list(run_ids) or [""] * len(places)))

    def __repr__(self) -> str:
        """Return the same text each time, because notebooks keep it beside the picture."""
        width, height = self.get_size_inches()
        return f"{type(self).__name__}({width:g} x {height:g} inches)"

    def _repr_png_(self) -> tuple[bytes, dict[str, int]]:
        """Return the picture and its size on the page, for a notebook (IPython's protocol)."""
        width, height = (int(inches * SHOWN_PER_INCH) for inches in self.get_size_inches())
        return render(self, "png", NOTEBOOK_DPI), {"width": width, "height": height}

    def spots(self) -> list[Spot]:
        """Return all points that lie within their axes, where they were last drawn."""
        height = self.get_figheight() * POINTS_PER_INCH
        found = []
        for axes, places, words, run_ids in self._said:
            drawn = axes.transData.transform(places)
            inside = axes.get_window_extent().padded(1)
            for (x, y), said, run_id in zip(drawn, words, run_ids, strict=True):
                if inside.contains(x, y):
                    x, y = np.array([x, y]) * POINTS_PER_INCH / self.dpi
                    found.append(Spot(round(x, 1), round(height - y, 1), said, run_id))
        return found


def run_words(runs: pd.DataFrame) -> list[str]:
    """Return what is said of every run: place, seed, loss, and where and how long it was trained.

    Args:
        runs: rows of a table of runs; what it does not know is left out.
    """
    known = [column for column in SAID if column in runs]
    rows = runs.loc[:, known].itertuples(index=False)
    return [_of_run(dict(zip(known, row, strict=True))) for row in rows]


def _of_run(run: dict) -> str:
    at = f"ρ = {run['rho']:.4g}" if np.isfinite(run["rho"]) else "no ρ"
    lines = [f"{at}, seed {run['seed']}", f"loss {run['validation_loss']:.4f} nats/token"]
    if _known(run.get("arm")):
        lines.append(f"arm {arm_of(run['arm']).label}")
    if _known(run.get("run_id")):
        lines.append(f"run {str(run['run_id'])[:12]}")
    where = [str(run[key]) for key in ("device", "host") if _known(run.get(key))]
    if where:
        lines.append(", ".join(where))
    if _known(run.get("wall_seconds")):
        speed = ""
        if _known(run.get("tokens_per_second")):
            speed = f", {run['tokens_per_second']:,.0f} tokens/s"
        lines.append(f"{duration(run['wall_seconds'])}{speed}")
    return "\n".join(lines)


def _known(value: object) -> bool:
    return value is not None and value == value and value != ""


def duration(seconds: float) -> str:
    """Return a time in the unit that people would take: 53 s, 12 min, 6.4 h, 3.1 days."""
    for unit, size, until in (("s", 1, 120), ("min", 60, 7200), ("h", 3600, 172_800)):
        if seconds < until:
            digits = 0 if seconds >= 10 * size else 1
            return f"{seconds / size:.{digits}f} {unit}"
    return f"{seconds / 86400:.1f} days"


def ids_of(runs: pd.DataFrame) -> list[str]:
    """Return the id of every run, empty if it has none."""
    if "run_id" not in runs:
        return [""] * len(runs)
    return ["" if not _known(one) else str(one) for one in runs["run_id"]]
