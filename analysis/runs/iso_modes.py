"""Which runs of one condition lie on the strict curve, which on the paper's, and which on both.

`iso: strict` sets the shared experts' width so that P_act is held, `iso: paper` leaves it as it is
at rho = 1. So a record shows its mode, and a run that both ask for is one run on both curves.
"""

from io import BytesIO

import numpy as np
import pandas as pd
import pyarrow as pa
from pyarrow.json import ParseOptions, read_json

from engram_sweep.errors import UserError
from engram_sweep.planning.arms import MOE, arm_of
from engram_sweep.planning.axes import ISO_MODES

STRICT, PAPER = ISO_MODES
BOTH = "both"
"""Mode of a run that lies on both curves."""
HELD = 1e-3
"""Relative miss of P_act below which it is held: the tolerance of `iso: strict`."""
_WIDTHS = ParseOptions(
    explicit_schema=pa.schema(
        [
            (
                "geometry",
                pa.struct([("shared_width", pa.list_(pa.int64())), ("dense_layers", "int64")]),
            )
        ]
    ),
    unexpected_field_behavior="ignore",
)
"""The fields of a spec that are read here."""


def split_by_iso(runs: pd.DataFrame, source: str) -> dict[str | None, pd.DataFrame]:
    """Split the runs of one condition into its curves.

    Args:
        runs: one row per run. A column `iso` names the mode itself; missing values are runs of
            both. Else the specs show it.
        source: what to call the table in messages.

    Returns:
        The runs by mode, strict first, those of both in each; one entry under None if all runs can
        be of one mode.

    Raises:
        UserError: the column `iso` holds something else.
    """
    modes = _named(runs, source) if "iso" in runs else _shown(runs)
    if not {STRICT, PAPER} <= set(modes):
        return {None: runs}
    return {
        mode: runs.loc[(modes == mode) | (modes == BOTH)].reset_index(drop=True)
        for mode in ISO_MODES
    }


def width_changes(runs: pd.DataFrame) -> tuple[float, float] | None:
    """Return the least and the largest change of the shared experts' width below rho = 1.

    Args:
        runs: the runs of one curve.

    Returns:
        Relative to the width at rho = 1, e.g. (-0.17, -0.16); None if the specs do not show it.
    """
    widths = _shared_widths(runs)
    at_one = runs["rho"].to_numpy(float) == 1
    if widths is None or at_one.all() or not at_one.any():
        return None
    # Every MoE layer of rho = 1 has one width; strict spreads what is left over unequally.
    means = np.array([np.mean(width) for width in widths])
    changes = means[~at_one] / means[at_one][0] - 1
    return float(changes.min()), float(changes.max())


def _named(runs: pd.DataFrame, source: str) -> np.ndarray:
    """Return the mode of every run as its column names it, shape (n,)."""
    modes = runs["iso"].fillna(BOTH).to_numpy(object)
    for mode in modes:
        if mode not in (*ISO_MODES, BOTH):
            raise UserError(
                f"{source}: column 'iso' holds {mode!r}; expected {', '.join(ISO_MODES)} or nothing"
            )
    return modes


def _shown(runs: pd.DataFrame) -> np.ndarray:
    """Return the mode of every run as its shape shows it, shape (n,)."""
    both = np.full(len(runs), BOTH, dtype=object)
    widths = _shared_widths(runs)
    arm = runs["arm"].to_numpy() if "arm" in runs else np.full(len(runs), "")
    anchors = np.flatnonzero(arm == MOE.key)
    if widths is None or not len(anchors):
        return both
    active = runs["params_active"].to_numpy(float)
    # Arms of one shape under both modes: pure MoE, and those that always meet P_act.
    free = np.array([key != MOE.key and not arm_of(key).always_meets_active for key in arm])
    as_anchor = np.array([width == widths[anchors[0]] for width in widths])
    held = np.abs(active / active[anchors[0]] - 1) <= HELD
    modes = both.copy()
    modes[free & ~as_anchor] = STRICT
    modes[free & as_anchor & ~held] = PAPER
    # A run of the anchor's width that holds P_act is strict's too, unless strict has its own.
    points = list(zip(arm, runs["rho"].round(9), runs["seed"], strict=True))
    own = {point for point, mode in zip(points, modes, strict=True) if mode == STRICT}
    modes[free & (modes == BOTH) & np.array([point in own for point in points])] = PAPER
    return modes


def _shared_widths(runs: pd.DataFrame) -> list[tuple[int, ...]] | None:
    """Return the shared widths of every run's MoE layers, None if the specs do not show them."""
    if "spec" not in runs:
        return None
    lines = "\n".join(str(spec).replace("\n", " ") for spec in runs["spec"])
    try:
        read = read_json(BytesIO(lines.encode()), parse_options=_WIDTHS)["geometry"].to_pylist()
    except pa.ArrowException:
        return None
    if len(read) != len(runs) or any(one is None or not one["shared_width"] for one in read):
        return None
    return [tuple(one["shared_width"][one["dense_layers"] or 0 :]) for one in read]
