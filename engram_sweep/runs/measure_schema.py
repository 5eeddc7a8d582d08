"""The columns of each measure, their types and units, and whether a table is what one writes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa


@dataclass(frozen=True)
class Columns:
    """What the file of a measure holds."""

    schema: pa.Schema
    version: int = 1
    """Rises if the columns or their meaning change: runs are then measured anew."""
    may_be_empty: bool = False
    """Whether a run may have nothing to measure: no memory, or none with a gate."""


def _field(name: str, kind: pa.DataType, unit: str) -> pa.Field:
    return pa.field(name, kind, nullable=False, metadata={"unit": unit})


KEYS = pa.schema(
    [
        _field("order", pa.int8(), "tokens of the n-gram"),
        _field("stratum", pa.string(), "times training presented the n-gram"),
        _field("copied", pa.bool_(), "true if the window holds the answer"),
        _field("document", pa.int32(), "number of the held-out document"),
        _field("tokens", pa.int64(), "positions"),
    ]
)
"""Columns of every table of tallies; rows of one order hold every position once."""


def schema_with(*names: str) -> pa.Schema:
    """Return the schema of tallies of these values."""
    return pa.schema([*KEYS, *(pa.field(name, pa.float64(), False) for name in names)])


GATE_SUMS = (
    "gate", "gate2", "log_count", "log_count2", "gate_log_count", "gain", "gain2", "gate_gain"
)  # fmt: skip
"""Sums of the gate, of log(1 + times shown), of the gain (nats), of squares and of products."""
MEASURED = {
    # Sums of the loss (nats) and of tokens that are predicted right.
    "strata": Columns(schema_with("loss", "correct")),
    "suppress": Columns(
        schema_with("loss", "correct").append(
            _field("mode", pa.string(), "what was done to the memory")
        )
    ),
    "gates": Columns(
        pa.schema(
            [
                *schema_with(*GATE_SUMS),
                _field("block", pa.int16(), "0-based block of the module"),
                _field("stream", pa.int16(), "residual stream"),
            ]
        ),
        may_be_empty=True,
    ),
    "hot-rows": Columns(
        pa.schema(
            [
                _field("table", pa.int16(), "number of the table, from the input on"),
                _field("order", pa.int8(), "tokens of the n-gram"),
                _field("rows", pa.int64(), "rows of the order, all heads"),
                _field("share", pa.float64(), "of these rows in the cache"),
                _field("document", pa.int32(), "number of the held-out document"),
                _field("look_ups", pa.int64(), "held-out look-ups, all heads"),
                _field("hits", pa.int64(), "those whose row is in the cache"),
            ]
        ),
        may_be_empty=True,
    ),
    "depth": Columns(
        pa.schema(
            [
                _field("layer", pa.int16(), "block, counted from 1"),
                _field("document", pa.int32(), "number of the held-out document"),
                _field("tokens", pa.int64(), "positions"),
                _field("kl", pa.float64(), "nats, summed: KL(final || block)"),
            ]
        )
    ),
    "cka": Columns(
        pa.schema(
            [
                _field("kind", pa.string(), "trained, or start: before training"),
                _field("layer", pa.int16(), "block, counted from 1"),
                _field("position", pa.int64(), "of the input in the held-out text"),
                _field("document", pa.int32(), "number of the held-out document"),
                _field("state", pa.list_(pa.float32()), "(D,), mean of streams"),
            ]
        )
    ),
    "retrieval": Columns(
        pa.schema(
            [
                _field("hops", pa.int8(), "links from the name asked for; 0: a needle"),
                _field("distance", pa.int32(), "tokens back to the value, up to twice"),
                _field("document", pa.int32(), "number of the text"),
                _field("questions", pa.int32(), "questions of that distance"),
                _field("correct", pa.int32(), "answers that match exactly"),
                _field("loss", pa.float64(), "nats of the right answers, summed"),
                _field("guess", pa.float64(), "answers right by any value said"),
            ]
        )
    ),
    "eval": Columns(
        pa.schema(
            [
                _field("task", pa.string(), "name of the task"),
                _field("document", pa.int32(), "number of the question in its file"),
                _field("bits", pa.float64(), "-log2 likelihood of the right answer"),
                _field("bytes", pa.int32(), "of the right answer, UTF-8"),
                _field("correct", pa.bool_(), "the right answer is chosen, or greedy"),
                _field("answers", pa.int16(), "to choose from"),
                _field("cut", pa.bool_(), "the window did not hold the whole question"),
            ]
        )
    ),
}
"""By the measure's name, as in `engram_sweep.inside.measure.SUMMARIES`."""


def misfit(measure: str, table: pa.Table) -> str | None:
    """Return in words why a table is not what a measure writes; None if it is.

    Args:
        measure: its name.
        table: without the columns of the run.
    """
    columns = MEASURED[measure]
    wanted, found = columns.schema.names, table.column_names
    if sorted(found) != sorted(wanted):
        return f"expected the columns {', '.join(wanted)}, got {', '.join(found) or 'none'}"
    for field in columns.schema:
        column = table[field.name].combine_chunks()
        if not column.type.equals(field.type):
            return f"{field.name}: expected {field.type}, got {column.type}"
        values = column
        if isinstance(column, pa.ListArray):
            values = column.flatten()
            if len(set(column.value_lengths().to_pylist())) > 1:
                return f"{field.name}: expected lists of one length, got several"
        if column.null_count or values.null_count:
            return f"{field.name}: expected a value in every row, some have none"
        if pa.types.is_floating(values.type) and not np.isfinite(values.to_numpy()).all():
            return f"{field.name}: expected finite numbers, got some that are not"
    if not (table.num_rows or columns.may_be_empty):
        return "expected rows, got none"
    return None
