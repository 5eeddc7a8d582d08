"""The columns of a record, their types and units, and whether a table is one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

SCHEMA_VERSION = 3
"""1, and 2 with the training curve; 3 with table sizes and touched rows."""
FILE_NAME = "record.parquet"


def field_of(name: str, kind: pa.DataType, unit: str, nullable: bool = False) -> pa.Field:
    """Return a column of a schema that carries its unit."""
    return pa.field(name, kind, nullable=nullable, metadata={"unit": unit})


SCHEMA = pa.schema(
    [
        field_of("schema_version", pa.int32(), "version of this schema"),
        field_of("run_id", pa.string(), "xxh3_128 of the canonical spec"),
        field_of("scale", pa.string(), "name"),
        field_of(
            "arm",
            pa.string(),
            "moe, engram, over_encoding, one_row or dense; engram/NAME for a variant of the Engram "
            "module (sweep.variants)",
        ),
        field_of("rho_asked", pa.float64(), "share of P_sparse in routed experts"),
        field_of(
            "rows_per_head_asked",
            pa.int64(),
            "rows asked for per head of the Engram tables, over-encoding getting as many "
            "parameters; null if what the experts give up decides",
            nullable=True,
        ),
        field_of("rho", pa.float64(), "share of P_sparse in routed experts, realised"),
        field_of("seed", pa.int64(), "seed"),
        field_of("outcome", pa.string(), "ok or diverged"),
        field_of(
            "validation_loss",
            pa.float64(),
            "nats/token over all held-out tokens; NaN where diverged",
        ),
        field_of("window_losses", pa.list_(pa.float32()), "nats/token, one per validation window"),
        field_of(
            "window_tokens", pa.list_(pa.int32()), "tokens predicted, one per validation window"
        ),
        field_of("train_loss", pa.float64(), "nats/token, mean over the last tenth of the steps"),
        field_of(
            "curve_steps",
            pa.list_(pa.int64()),
            "optimizer steps done at each point of the training curve",
        ),
        field_of(
            "curve_losses",
            pa.list_(pa.float64()),
            "nats/token, training, mean since the point before",
        ),
        field_of("steps", pa.int64(), "optimizer steps done"),
        field_of("tokens", pa.int64(), "training tokens seen"),
        field_of("params_total", pa.int64(), "parameters without embedding and LM head (P_tot)"),
        field_of(
            "params_active",
            pa.int64(),
            "parameters per token without embedding and LM head (P_act)",
        ),
        field_of("params_table", pa.int64(), "parameters in n-gram tables"),
        field_of(
            "table_rows",
            pa.list_(pa.list_(pa.int64())),
            "rows of the n-gram tables, by table and order, heads summed",
        ),
        field_of(
            "rows_touched",
            pa.list_(pa.list_(pa.int64())),
            "rows that training looked up at least once, by table and order, heads summed",
        ),
        field_of("flops_per_token", pa.int64(), "FLOPs, forward and backward"),
        field_of("routed_experts", pa.int64(), "routed experts per MoE layer"),
        field_of(
            "expert_load",
            pa.list_(pa.list_(pa.float32())),
            "share of a router's choices, by layer, last tenth",
        ),
        field_of(
            "dead_experts", pa.int64(), "experts that got no token in the last tenth, all layers"
        ),
        field_of("gate_mean", pa.list_(pa.float32()), "mean Engram gate at validation, by module"),
        field_of(
            "tokens_per_second", pa.float64(), "training tokens per second, validation left out"
        ),
        field_of("restarts", pa.int64(), "attempts after the first"),
        field_of("wall_seconds", pa.float64(), "seconds of all attempts, queues left out"),
        field_of("gpu_hours", pa.float64(), "hours of all attempts times GPUs; 0 on CPUs"),
        field_of("world_size", pa.int64(), "processes of the run"),
        field_of("corpus_fingerprint", pa.string(), "xxh3_128 of the token shards"),
        field_of(
            "tokenizer_fingerprint",
            pa.string(),
            "xxh3_128 of the tokenizer's name and compression map",
        ),
        field_of(
            "git_commit", pa.string(), "commit, '+dirty' appended where files differ", nullable=True
        ),
        field_of(
            "git_diff",
            pa.string(),
            "xxh3_128 of how tracked files differ, where they do",
            nullable=True,
        ),
        field_of("versions", pa.map_(pa.string(), pa.string()), "versions of python and libraries"),
        field_of("host", pa.string(), "host name, of the first process"),
        field_of("device", pa.string(), "accelerator, or processor and its vector instructions"),
        field_of("driver", pa.string(), "version of the accelerator's driver", nullable=True),
        field_of("started_at", pa.timestamp("us", tz="UTC"), "UTC, first attempt"),
        field_of("finished_at", pa.timestamp("us", tz="UTC"), "UTC"),
        field_of("spec", pa.string(), "canonical JSON of the spec"),
    ]
)


ALWAYS = (
    "schema_version",
    "run_id",
    "scale",
    "arm",
    "rho",
    "seed",
    "outcome",
    "validation_loss",
)
"""Columns of every version, without which a run counts for nothing, or for something else."""


CHECKSUMS: dict[str, Any] = {"write_page_checksum": True}
"""How tables of records are written: a flipped bit is found when they are read."""


def fits(record: pa.Table, columns: Sequence[str] | None = None) -> bool:
    """Return whether a table is one record, or some columns of one, of any version so far.

    Args:
        record: the table; columns that no version has count for nothing.
        columns: which were asked for; None means all.
    """
    needed = {name for name in ALWAYS if columns is None or name in columns}
    return (
        record.num_rows == 1
        and needed <= set(record.column_names)
        and all(
            field.name not in SCHEMA.names or _fits(field, record[field.name].null_count)
            for field in record.schema
        )
    )


def _fits(field: pa.Field, nulls: int) -> bool:
    ours = SCHEMA.field(field.name)
    return field.type.equals(ours.type) and (ours.nullable or nulls == 0)
