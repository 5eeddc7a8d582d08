"""How every figure looks and how it becomes a file; the same figure gives the same bytes.

The style is seaborn's "ticks" in its "paper" context, written down: importing seaborn brings all of
scipy.stats, a second that no report needs. Matplotlib's object API only, no pyplot state.
"""

from contextlib import AbstractContextManager
from importlib import import_module
from io import BytesIO
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from engram_sweep.atomic_files import write_atomically

FORMATS = ("png", "pdf", "svg")
DPI = 200
"""Dots per inch, also of pixels inside vector formats."""
INK, CURVE, NEAR, SEEDS, WRONG = "#22223b", "#1f5fa8", "#f2b84b", "#7a7f8c", "#c0392b"
RHO = "ρ, share of the sparse budget in experts (rest: memory)"
"""Label of an axis. A plain letter: mathtext would bring two more fonts into every file."""
DOTS: dict[str, Any] = {
    "marker": "o",
    "ms": 4,
    "ls": "none",
    "lw": 0.7,
    "color": SEEDS,
    "alpha": 0.65,
    "mec": "white",
    "mew": 0.4,
}
SEABORN: dict[str, Any] = {
    "font.size": 12,
    "axes.labelsize": 12,
    "axes.titlesize": 12,
    "xtick.labelsize": 11,
    "ytick.labelsize": 11,
    "legend.fontsize": 11,
    "legend.title_fontsize": 12,
    "axes.linewidth": 1,
    "lines.linewidth": 1.2,
    "lines.markersize": 4.8,
    "lines.solid_capstyle": "round",
    "patch.linewidth": 0.8,
    "patch.edgecolor": "w",
    "patch.force_edgecolor": True,
    "xtick.major.width": 1,
    "ytick.major.width": 1,
    "xtick.minor.width": 0.8,
    "ytick.minor.width": 0.8,
    "xtick.major.size": 4.8,
    "ytick.major.size": 4.8,
    "xtick.minor.size": 3.2,
    "ytick.minor.size": 3.2,
    "text.color": ".15",
    "axes.labelcolor": ".15",
    "axes.edgecolor": ".15",
    "xtick.color": ".15",
    "ytick.color": ".15",
    "axes.axisbelow": True,
    "grid.color": ".8",
}
"""`plotting_context("paper", font_scale=1.25)` and `axes_style("ticks")`, as far as they differ
from matplotlib's own."""
_STYLE: Any = SEABORN | {
    # As matplotlib brings it along: with the machine's fonts a figure would look different
    # elsewhere.
    "font.family": ["DejaVu Sans"],
    # Names of sweeps stand in titles, and a dollar sign in one is no mathematics.
    "text.parse_math": False,
    "axes.titlesize": 11,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "svg.hashsalt": "engram-sweep",
    # Real text: it can be searched, selected and read aloud.
    "svg.fonttype": "none",
    "pdf.fonttype": 42,
}
# Without these a file would carry the time it was written or the versions that wrote it.
METADATA = {
    "png": {"Software": None},
    "pdf": {"CreationDate": None, "Producer": None, "Creator": None},
    "svg": {"Date": None, "Creator": None},
}


def series(count: int) -> list[tuple[float, ...]]:
    """Return colours for an ordered series, seen on a white and on a dark page."""
    places = np.linspace(0.85, 0.25, count) if count > 1 else np.array([0.45])
    return [tuple(one) for one in colormaps["viridis"](places)]


def styled() -> AbstractContextManager[None]:
    """Return the settings under which every figure is drawn and written."""
    return mpl.rc_context(_STYLE)


def legend_below(figure: Figure, columns: int, axes: Axes | None = None) -> None:
    """Put one legend below all panels.

    Args:
        figure: the figure.
        columns: entries side by side.
        axes: the panel whose entries stand for all; None for those of every panel.
    """
    entries = () if axes is None else axes.get_legend_handles_labels()
    figure.legend(*entries, frameon=False, fontsize=8.5, loc="outside lower center", ncols=columns)


def save(figure: Figure, folder: Path, name: str) -> list[Path]:
    """Write the figure in all FORMATS, each atomically, and return the paths."""
    paths = []
    for kind in FORMATS:
        path = folder / f"{name}.{kind}"
        data = render(figure, kind)
        write_atomically(path, lambda temporary, data=data: temporary.write_bytes(data) and None)
        paths.append(path)
    return paths


def render(figure: Figure, kind: str, dpi: int = DPI) -> bytes:
    """Return the figure as a file of one of FORMATS, byte for byte the same each time.

    Args:
        figure: the figure.
        kind: the format.
        dpi: dots per inch, also of pixels inside vector formats.
    """
    # `savefig` would write the same bytes, but it draws every figure twice.
    module = import_module(f"matplotlib.backends.backend_{'agg' if kind == 'png' else kind}")
    buffer = BytesIO()
    with styled():
        figure.set_dpi(dpi)
        getattr(module.FigureCanvas(figure), f"print_{kind}")(buffer, metadata=METADATA[kind])
    return buffer.getvalue()
