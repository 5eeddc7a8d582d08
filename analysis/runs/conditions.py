"""One table of several sweeps -> its conditions: what is held fixed along one curve, and where it lies on the axes.

A condition is a scale at one P_tot, one P_act and one number of tokens. What a record says of them
is enough; a foreign table may name the axes itself, in columns called as in AXES.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO

import numpy as np
import pandas as pd
import pyarrow as pa
from pyarrow.json import ParseOptions, read_json

from analysis.runs.table import CURVE_ARMS, numbers
from engram_sweep.errors import UserError
from engram_sweep.planning.arms import DENSE, ENGRAM
from engram_sweep.planning.axes import record_axes

AXES = tuple(axis.key for axis in record_axes())
"""Axes on which a finished run shows its place (`engram_sweep.planning.axes`)."""
SIZES = ("params_total", "params_active", "tokens")
_ASKED = ParseOptions(
    explicit_schema=pa.schema([("training", pa.struct([("tokens", pa.float64())]))]),
    unexpected_field_behavior="ignore",
)
GAP = 5e-4  # in log P_tot: along rho it is held to 1e-4, while one expert more adds over ten times that


@dataclass(frozen=True)
class Condition:
    """The runs of one curve.

    Attributes:
        scale: name of the sweep; empty where the table names none.
        axes: what is known of AXES, all read at rho = 1: P_tot / P_act; training tokens per
            activated parameter; and the budget C = 6 P_act tokens in FLOPs (paper section 3.1:
            attention scores and LM head are left out).
        runs: its rows.
    """

    scale: str
    axes: dict[str, float]
    runs: pd.DataFrame


def split_conditions(table: pd.DataFrame, source: str) -> tuple[Condition, ...]:
    """Splits a table, in order of scale and axes; a table with nothing to split by is one condition.

    Args:
        table: one row per run, with `rho`.
        source: what to call it in messages.

    Raises:
        UserError: a column that tells conditions apart holds something else.
    """
    table = table.reset_index(drop=True)
    scale = (
        table["scale"].fillna("").map(str).to_numpy()
        if "scale" in table
        else np.full(len(table), "")
    )
    explicit = {axis: _positive(table, axis, source) for axis in AXES if axis in table}
    keys = {"scale": scale, **explicit}
    if not explicit and set(SIZES) <= set(table):
        keys |= _size_keys(table, scale, source)
    found = []
    for _, at in sorted(pd.DataFrame(keys).groupby(list(keys)).indices.items()):
        axes = {axis: float(column[at[0]]) for axis, column in explicit.items()}
        rows = table.iloc[at].reset_index(drop=True)
        found.append(Condition(str(scale[at[0]]), axes or _axes(rows), rows))
    if not found:
        return (Condition("", {}, table),)
    return tuple(
        sorted(found, key=lambda one: (one.scale, *(one.axes.get(axis, 0.0) for axis in AXES)))
    )


def labels(conditions: Sequence[Condition]) -> list[str]:
    """A name for each: its scale where there are several, and as many of its axes as tell them apart."""
    several = len({one.scale for one in conditions}) > 1
    words = [[one.scale] if several and one.scale else [] for one in conditions]
    for axis in AXES:
        values = [f"{one.axes[axis]:.3g}" if axis in one.axes else "unknown" for one in conditions]
        if len(set(values)) > 1 and len(set(map(tuple, words))) < len(words):
            words = [[*word, f"{axis} {value}"] for word, value in zip(words, values, strict=True)]
    return [
        ", ".join(word) or one.scale or "all runs"
        for word, one in zip(words, conditions, strict=True)
    ]


def _positive(table: pd.DataFrame, column: str, source: str) -> np.ndarray:
    values = numbers(table, column, source).to_numpy()
    bad = values[~((values > 0) & np.isfinite(values))]
    if len(bad):
        raise UserError(f"{source}: column '{column}' holds {bad[0]:g}; expected a positive number")
    return values


def _size_keys(table: pd.DataFrame, scale: np.ndarray, source: str) -> dict[str, np.ndarray]:
    """Tokens and P_tot as keys, so that all rows of a curve share them."""
    arm = table["arm"].to_numpy() if "arm" in table else np.full(len(table), ENGRAM.key)
    if "spec" not in table:
        curve = np.where(np.isin(arm, CURVE_ARMS), "curve", arm)
        points = {"scale": scale, "arm": curve, "rho": table["rho"].round(9), "seed": table["seed"]}
        if not pd.DataFrame(points).duplicated().any():
            return {}  # a foreign table with one run for each point is one curve, whatever it holds fixed
    tokens = _asked_tokens(table, source) if "spec" in table else _positive(table, "tokens", source)
    total, active = (
        np.log(_positive(table, column, source)) for column in ("params_total", "params_active")
    )
    sparse = np.flatnonzero(arm != DENSE.key)
    order = sparse[np.argsort(total[sparse], kind="stable")]
    size = np.full(len(table), -1)
    size[order] = np.cumsum(np.diff(total[order], prepend=total[order[:1]]) > GAP)
    # A dense model has no sparse parameters: its P_tot says nothing, its P_act and its tokens do.
    for row in np.flatnonzero(arm == DENSE.key):
        near = sparse[(tokens[sparse] == tokens[row]) & (scale[sparse] == scale[row])]
        if len(near):
            size[row] = size[near[np.argmin(np.abs(active[near] - active[row]))]]
    return {"tokens": tokens, "size": size}


def _asked_tokens(table: pd.DataFrame, source: str) -> np.ndarray:
    """From the specs: a run that diverged saw fewer tokens than its fellows."""
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
    if not set(SIZES) <= set(rows):
        return {}
    # The anchor, or the largest rho there is; a control arm stands in only where nothing else is
    # there.
    on_curve = rows["arm"].isin(CURVE_ARMS) if "arm" in rows else True
    anchor = rows.assign(on_curve=on_curve).sort_values(by=["on_curve", "rho"]).index[-1]
    total, active = (
        float(rows[column].to_numpy(float)[anchor]) for column in ("params_total", "params_active")
    )
    tokens = float(rows["tokens"].to_numpy(float).max())
    return {
        axis.key: axis.of_record(total, active, tokens) for axis in record_axes() if axis.of_record
    }
