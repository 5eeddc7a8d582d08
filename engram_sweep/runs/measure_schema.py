"""The columns of each measure, their types and units, and whether a table is what one writes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from engram_sweep.runs.record_schema import field_of


@dataclass(frozen=True)
class Columns:
    """What the file of a measure holds."""

    schema: pa.Schema
    version: int = 1
    """Rises if the columns or their meaning change: runs are then measured anew."""
    may_be_empty: bool = False
    """Whether a run may have nothing to measure: no memory, or none with a gate."""


KEYS = pa.schema(
    [
        field_of("order", pa.int8(), "tokens of the n-gram"),
        field_of("stratum", pa.string(), "times training presented the n-gram"),
        field_of("copied", pa.bool_(), "true if the window holds the answer"),
        field_of("document", pa.int32(), "number of the held-out document"),
        field_of("tokens", pa.int64(), "positions"),
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
            field_of("mode", pa.string(), "what was done to the memory")
        )
    ),
    "gates": Columns(
        pa.schema(
            [
                *schema_with(*GATE_SUMS),
                field_of("block", pa.int16(), "0-based block of the module"),
                field_of("stream", pa.int16(), "residual stream"),
            ]
        ),
        may_be_empty=True,
    ),
    "hot-rows": Columns(
        pa.schema(
            [
                field_of("table", pa.int16(), "number of the table, from the input on"),
                field_of("order", pa.int8(), "tokens of the n-gram"),
                field_of("rows", pa.int64(), "rows of the order, all heads"),
                field_of("share", pa.float64(), "of these rows in the cache"),
                field_of("document", pa.int32(), "number of the held-out document"),
                field_of("look_ups", pa.int64(), "held-out look-ups, all heads"),
                field_of("hits", pa.int64(), "those whose row is in the cache"),
            ]
        ),
        may_be_empty=True,
    ),
    "depth": Columns(
        pa.schema(
            [
                field_of("layer", pa.int16(), "block, counted from 1"),
                field_of("document", pa.int32(), "number of the held-out document"),
                field_of("tokens", pa.int64(), "positions"),
                field_of("kl", pa.float64(), "nats, summed: KL(final || block)"),
            ]
        )
    ),
    "cka": Columns(
        pa.schema(
            [
                field_of("kind", pa.string(), "trained, or start: before training"),
                field_of("layer", pa.int16(), "block, counted from 1"),
                field_of("position", pa.int64(), "of the input in the held-out text"),
                field_of("document", pa.int32(), "number of the held-out document"),
                field_of("state", pa.list_(pa.float32()), "(D,), mean of streams"),
            ]
        )
    ),
    "retrieval": Columns(
        pa.schema(
            [
                field_of("hops", pa.int8(), "links from the name asked for; 0: a needle"),
                field_of("distance", pa.int32(), "tokens back to the value, up to twice"),
                field_of("document", pa.int32(), "number of the text"),
                field_of("questions", pa.int32(), "questions of that distance"),
                field_of("correct", pa.int32(), "answers that match exactly"),
                field_of("loss", pa.float64(), "nats of the right answers, summed"),
                field_of("guess", pa.float64(), "answers right by any value said"),
            ]
        )
    ),
    "eval": Columns(
        pa.schema(
            [
                field_of("task", pa.string(), "name of the task"),
                field_of("document", pa.int32(), "number of the question in its file"),
                field_of("bits", pa.float64(), "-log2 likelihood of the right answer"),
                field_of("bytes", pa.int32(), "of the right answer, UTF-8"),
                field_of("correct", pa.bool_(), "the right answer is chosen, or greedy"),
                field_of("answers", pa.int16(), "to choose from"),
                field_of("cut", pa.bool_(), "the window did not hold the whole question"),
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
