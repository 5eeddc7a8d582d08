"""One table of several sweeps -> its conditions: what is fixed along a curve, and its axes.

A condition is a scale at one P_tot, one P_act at rho = 1, one number of tokens and one mode of iso.
What a record contains is enough to find them; a foreign table may name the axes itself, in columns
called as in AXES, and the mode in a column `iso`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO

import numpy as np
import pandas as pd
import pyarrow as pa
from pyarrow.json import ParseOptions, read_json

from analysis.runs.iso_modes import split_by_iso
from analysis.runs.table import CURVE_ARMS, check_columns, numbers
from engram_sweep.errors import UserError
from engram_sweep.planning.arms import DENSE, ENGRAM
from engram_sweep.planning.axes import ISO_MODES, record_axes

AXES = tuple(axis.key for axis in record_axes())
"""Axes on which a finished run shows its place (`engram_sweep.planning.axes`)."""
SIZES = ("params_total", "params_active", "tokens")
"""Columns from which a record's place on the axes is computed."""
SIZE_GAP = 5e-4
"""Difference in log P_tot above which two runs are of two sizes.

Along rho P_tot is held to 1e-4, while one expert more adds over ten times that.
"""
_ASKED = ParseOptions(
    explicit_schema=pa.schema([("training", pa.struct([("tokens", pa.float64())]))]),
    unexpected_field_behavior="ignore",
)
"""The one field of a spec that is read here."""


@dataclass(frozen=True)
class Condition:
    """The runs of one curve."""

    scale: str
    """Name of the sweep; empty if the table names none."""
    axes: dict[str, float]
    """What is known of AXES, all read at rho = 1.

    P_tot / P_act; training tokens per activated parameter; and the budget C = 6 P_act tokens in
    FLOPs (paper section 3.1: attention scores and LM head are left out).
    """
    runs: pd.DataFrame
    """Rows of the table."""
    iso: str | None = None
    """The mode of this curve, of ISO_MODES, if the table has both here; they share runs."""

    @property
    def place(self) -> tuple[str, tuple[tuple[str, float], ...]]:
        """Scale and axes: two curves of one place differ in nothing but iso."""
        return self.scale, tuple(sorted(self.axes.items()))


def split_conditions(table: pd.DataFrame, source: str) -> tuple[Condition, ...]:
    """Split a table into conditions, in order of scale and axes.

    A table with nothing to split by is one condition.

    Args:
        table: one row per run, with `rho`.
        source: what to call the table in messages.

    Raises:
        UserError: a column that separates conditions holds something else, or no arm, or a column
            of numbers no numbers.
    """
    check_columns(table, source)
    table = table.reset_index(drop=True)
    scale = np.full(len(table), "")
    if "scale" in table:
        scale = table["scale"].fillna("").map(str).to_numpy()
    # Axes that a table names itself are keys as they are; else the sizes are.
    explicit = {axis: _positive(table, axis, source) for axis in AXES if axis in table}
    keys = {"scale": scale, **explicit}
    if not explicit and set(SIZES) <= set(table):
        keys |= _size_keys(table, scale, source)
    conditions = []
    for _, at in sorted(pd.DataFrame(keys).groupby(list(keys)).indices.items()):
        axes = {axis: float(column[at[0]]) for axis, column in explicit.items()}
        rows = table.iloc[at].reset_index(drop=True)
        for iso, of_mode in split_by_iso(rows, source).items():
            conditions.append(Condition(str(scale[at[0]]), axes or _axes(of_mode), of_mode, iso))
    if not conditions:
        return (Condition("", {}, table),)
    return tuple(sorted(conditions, key=_place))


def labels(conditions: Sequence[Condition]) -> list[str]:
    """Return a name for each condition: its scale if they differ, and as many axes as needed.

    For example "tiny, budget 1e+18" beside "tiny, budget 4e+18" and "small, budget 1e+18".
    """
    several = len({one.scale for one in conditions}) > 1
    words = [[one.scale] if several and one.scale else [] for one in conditions]
    named = {
        axis: [f"{one.axes[axis]:.3g}" if axis in one.axes else "unknown" for one in conditions]
        for axis in AXES
    }
    named["iso"] = [one.iso or "of either mode" for one in conditions]
    for axis, values in named.items():
        longer = [[*word, f"{axis} {value}"] for word, value in zip(words, values, strict=True)]
        # An axis is named only if it tells apart what the names so far do not.
        if len(set(map(tuple, longer))) > len(set(map(tuple, words))):
            words = longer
    return [
        ", ".join(word) or one.scale or "all runs"
        for word, one in zip(words, conditions, strict=True)
    ]


def _place(condition: Condition) -> tuple[str | float, ...]:
    """Return the place of a condition in the order of all: its scale, its axes, its mode."""
    mode = 0 if condition.iso is None else ISO_MODES.index(condition.iso)
    return (condition.scale, *(condition.axes.get(axis, 0.0) for axis in AXES), mode)


def _positive(table: pd.DataFrame, column: str, source: str) -> np.ndarray:
    values = numbers(table, column, source).to_numpy()
    bad = values[~((values > 0) & np.isfinite(values))]
    if len(bad):
        raise UserError(f"{source}: column '{column}' holds {bad[0]:g}; expected a positive number")
    return values


def _size_keys(table: pd.DataFrame, scale: np.ndarray, source: str) -> dict[str, np.ndarray]:
    """Return tokens and number of the size of every run as keys, equal for all rows of a curve.

    Args:
        table: one row per run, with the columns of SIZES.
        scale: name of the scale of every run, shape (n,).
        source: what to call the table in messages.
    """
    arm = table["arm"].to_numpy() if "arm" in table else np.full(len(table), ENGRAM.key)
    if "spec" not in table and not _duplicated(table, scale, arm):
        # A foreign table with one run for each point is one curve, whatever it holds fixed.
        return {}
    tokens = _asked_tokens(table, source) if "spec" in table else _positive(table, "tokens", source)
    total = np.log(_positive(table, "params_total", source))
    active = np.log(_positive(table, "params_active", source))
    # Sizes are runs of close P_tot: a new one begins at every gap in sorted order.
    sparse = np.flatnonzero(arm != DENSE.key)
    order = sparse[np.argsort(total[sparse], kind="stable")]
    size = np.full(len(table), -1)
    size[order] = np.cumsum(np.diff(total[order], prepend=total[order[:1]]) > SIZE_GAP)
    # A dense model has no sparse parameters: its P_tot shows nothing, its P_act and its tokens do.
    for row in np.flatnonzero(arm == DENSE.key):
        near = sparse[(tokens[sparse] == tokens[row]) & (scale[sparse] == scale[row])]
        if len(near):
            size[row] = size[near[np.argmin(np.abs(active[near] - active[row]))]]
    return {"tokens": tokens, "size": size}


def _duplicated(table: pd.DataFrame, scale: np.ndarray, arm: np.ndarray) -> bool:
    """Return whether a point (scale, arm, rho, seed) has more than one run."""
    curve = np.where(np.isin(arm, CURVE_ARMS), "curve", arm)
    points = {"scale": scale, "arm": curve, "rho": table["rho"].round(9), "seed": table["seed"]}
    if "iso" in table:
        points["iso"] = table["iso"]
    return bool(pd.DataFrame(points).duplicated().any())


def _asked_tokens(table: pd.DataFrame, source: str) -> np.ndarray:
    """Return the training tokens in the specs, shape (n,): a diverged run saw fewer than asked.

    Raises:
        UserError: a spec is no JSON, or has no number of tokens.
    """
    try:
        # All at once: ten thousand specs one by one take a quarter of a second.
        lines = "\n".join(spec.replace("\n", " ") for spec in table["spec"])
        read = read_json(BytesIO(lines.encode()), parse_options=_ASKED)
        tokens = read["training"].flatten()[0].to_numpy()
    except (AttributeError, pa.ArrowException):
        tokens = np.array([])
    if len(tokens) != len(table) or np.isnan(tokens).any():
        raise UserError(
            f"{source}: column 'spec' holds something else than a run's specification as JSON"
        )
    return tokens


def _axes(rows: pd.DataFrame) -> dict[str, float]:
    """Return the place of one condition's runs on AXES; empty if their sizes are not known."""
    if not set(SIZES) <= set(rows):
        return {}
    # Read at the anchor, or at the largest rho there is; a control arm stands in only if there is
    # nothing else.
    on_curve = rows["arm"].isin(CURVE_ARMS) if "arm" in rows else True
    anchor = rows.assign(on_curve=on_curve).sort_values(by=["on_curve", "rho"]).index[-1]
    total = float(rows["params_total"].to_numpy(float)[anchor])
    active = float(rows["params_active"].to_numpy(float)[anchor])
    tokens = float(rows["tokens"].to_numpy(float).max())
    return {
        axis.key: axis.of_record(total, active, tokens) for axis in record_axes() if axis.of_record
    }
