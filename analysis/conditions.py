"""One table of several sweeps -> its conditions: what is held fixed along one curve, and where it lies on the axes.

A condition is a scale at one P_tot, one P_act and one number of tokens. What a record says of them is enough; a foreign
table may name the axes itself, in columns called as in AXES.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.table import numbers
from engram_sweep.errors import UserError

AXES = ("total_over_active", "tokens_per_active", "budget")
SIZES = ("params_total", "params_active", "tokens")
GAP = 5e-4  # in log P_tot: along rho it is held to 1e-4, while one expert more adds over ten times that


@dataclass(frozen=True)
class Condition:
    """The runs of one curve.

    Attributes:
        scale: name of the sweep; empty where the table names none.
        axes: what is known of AXES, all read at rho = 1: P_tot / P_act; training tokens per activated parameter; and
            the budget C = 6 P_act tokens in FLOPs (paper section 3.1: attention scores and LM head are left out).
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
    keys = {"scale": table["scale"].fillna("").map(str)} if "scale" in table else {}
    explicit = {axis: _positive(table, axis, source) for axis in AXES if axis in table}
    keys |= explicit
    if not explicit and set(SIZES) <= set(table):
        keys |= _size_keys(table, source)
    if not keys or table.empty:
        return (Condition("", {}, table),)
    found = []
    for _, rows in table.groupby([keys[name] for name in keys], sort=True):
        scale = keys["scale"][rows.index[0]] if "scale" in keys else ""
        axes = {axis: float(column[rows.index[0]]) for axis, column in explicit.items()}
        found.append(Condition(scale, axes or _axes(rows), rows.reset_index(drop=True)))
    return tuple(sorted(found, key=lambda one: (one.scale, *(one.axes.get(axis, 0.0) for axis in AXES))))


def labels(conditions: Sequence[Condition]) -> list[str]:
    """A name for each: its scale where there are several, and as many of its axes as tell them apart."""
    several = len({one.scale for one in conditions}) > 1
    words = [[one.scale] if several and one.scale else [] for one in conditions]
    for axis in AXES:
        values = [f"{one.axes[axis]:.3g}" if axis in one.axes else "unknown" for one in conditions]
        if len(set(values)) > 1 and len(set(map(tuple, words))) < len(words):
            words = [[*word, f"{axis} {value}"] for word, value in zip(words, values, strict=True)]
    return [", ".join(word) or one.scale or "all runs" for word, one in zip(words, conditions, strict=True)]


def _positive(table: pd.DataFrame, column: str, source: str) -> pd.Series:
    values = numbers(table, column, source)
    bad = values[~(values > 0) | ~np.isfinite(values)]
    if len(bad):
        raise UserError(f"{source}: column '{column}' holds {bad.iloc[0]:g}; expected a positive number")
    return values


def _size_keys(table: pd.DataFrame, source: str) -> dict[str, pd.Series]:
    """Tokens and P_tot as keys, so that all rows of a curve share them."""
    arm = table["arm"] if "arm" in table else pd.Series("engram", index=table.index)
    if "spec" not in table:
        curve = arm.where(~arm.isin(("moe", "engram")), "curve")
        rows = pd.DataFrame({"arm": curve, "rho": table["rho"].round(9), "seed": table["seed"]})
        if "scale" in table:
            rows["scale"] = table["scale"]
        if not rows.duplicated().any():
            return {}  # a foreign table with one run for each point is one curve, whatever it holds fixed
    tokens = _asked_tokens(table, source) if "spec" in table else _positive(table, "tokens", source)
    total, active = (np.log(_positive(table, column, source)) for column in ("params_total", "params_active"))
    sparse = (arm != "dense").to_numpy()
    size = pd.Series(-1, index=table.index)
    order = total[sparse].sort_values(kind="stable")
    size[order.index] = (order.diff() > GAP).cumsum()
    # A dense model has no sparse parameters: its P_tot says nothing, its P_act and its tokens do.
    scale = table["scale"].map(str) if "scale" in table else pd.Series("", index=table.index)
    for row in table.index[~sparse]:
        near = table.index[sparse & (tokens == tokens[row]) & (scale == scale[row])]
        if len(near):
            size[row] = size[(active[near] - active[row]).abs().idxmin()]
    return {"tokens": tokens, "size": size}


def _asked_tokens(table: pd.DataFrame, source: str) -> pd.Series:
    """From the specs: a run that diverged saw fewer tokens than its fellows."""
    try:
        return table["spec"].map(lambda spec: float(json.loads(spec)["training"]["tokens"]))
    except (TypeError, ValueError, KeyError):
        raise UserError(f"{source}: column 'spec' holds something else than a run's specification as JSON") from None


def _axes(rows: pd.DataFrame) -> dict[str, float]:
    if not set(SIZES) <= set(rows):
        return {}
    sparse = rows if "arm" not in rows else rows[rows["arm"] != "dense"]
    anchor = (sparse if len(sparse) else rows).sort_values("rho").iloc[-1]
    total, active, tokens = float(anchor["params_total"]), float(anchor["params_active"]), float(rows["tokens"].max())
    return dict(zip(AXES, (total / active, tokens / active, 6 * active * tokens), strict=True))
