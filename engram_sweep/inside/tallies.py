"""Sums of what was measured at each position, by document and stratum: rows of most measures."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pyarrow as pa

from engram_sweep.inside.positions import ORDERS, STRATA, Positions
from engram_sweep.runs.measure_schema import KEYS, schema_with


def tally(
    positions: Positions, values: Mapping[str, np.ndarray | Mapping[int, np.ndarray]]
) -> pa.Table:
    """Sum values over the positions of each order, stratum, copied or not, and document.

    Args:
        positions: of n held-out tokens.
        values: (n,) numbers by name, or such numbers by order.

    Returns:
        `KEYS` and, by name, the sums (float64); rows without positions are left out.
    """
    documents = int(positions.document.max()) + 1
    columns: dict[str, list[np.ndarray]] = {name: [] for name in (*KEYS.names, *values)}
    for order in ORDERS:
        # One code for each cell of the table, so that every sum is one bincount.
        shape = (len(STRATA), 2, documents)
        cell = np.ravel_multi_index(
            (positions.stratum(order), positions.copied[order].astype(int), positions.document),
            shape,
        )
        tokens = np.bincount(cell, minlength=np.prod(shape))
        there = np.flatnonzero(tokens)
        stratum, copied, document = np.unravel_index(there, shape)
        columns["order"].append(np.full(len(there), order))
        columns["stratum"].append(np.array(STRATA)[stratum])
        columns["copied"].append(copied.astype(bool))
        columns["document"].append(document)
        columns["tokens"].append(tokens[there])
        for name, value in values.items():
            of_position = value[order] if isinstance(value, Mapping) else value
            sums = np.bincount(cell, of_position.astype(float), len(tokens))
            columns[name].append(sums[there])
    return pa.table({name: np.concatenate(parts) for name, parts in columns.items()}).cast(
        schema_with(*values)
    )
