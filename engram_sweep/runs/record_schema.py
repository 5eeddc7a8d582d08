"""The columns of a record, their types and units, and whether a table is one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

SCHEMA_VERSION = 3
"""1, and 2 with the training curve; 3 with table sizes and touched rows."""
FILE_NAME = "record.parquet"


def _field(name: str, kind: pa.DataType, unit: str, nullable: bool = False) -> pa.Field:
    return pa.field(name, kind, nullable=nullable, metadata={"unit": unit})


SCHEMA = pa.schema(
    [
        _field("schema_version", pa.int32(), "version of this schema"),
        _field("run_id", pa.string(), "xxh3_128 of the canonical spec"),
        _field("scale", pa.string(), "name"),
        _field(
            "arm",
            pa.string(),
            "moe, engram, over_encoding, one_row or dense; engram/NAME for a variant of the Engram "
            "module (sweep.variants)",
        ),
        _field("rho_asked", pa.float64(), "share of P_sparse in routed experts"),
        _field(
            "rows_per_head_asked",
            pa.int64(),
            "rows asked for per head of the Engram tables, over-encoding getting as many "
            "parameters; null if what the experts give up decides",
            nullable=True,
        ),
        _field("rho", pa.float64(), "share of P_sparse in routed experts, realised"),
        _field("seed", pa.int64(), "seed"),
        _field("outcome", pa.string(), "ok or diverged"),
        _field(
            "validation_loss",
            pa.float64(),
            "nats/token over all held-out tokens; NaN where diverged",
        ),
        _field("window_losses", pa.list_(pa.float32()), "nats/token, one per validation window"),
        _field(
            "window_tokens", pa.list_(pa.int32()), "tokens predicted, one per validation window"
        ),
        _field("train_loss", pa.float64(), "nats/token, mean over the last tenth of the steps"),
        _field(
            "curve_steps",
            pa.list_(pa.int64()),
            "optimizer steps done at each point of the training curve",
        ),
        _field(
            "curve_losses",
            pa.list_(pa.float64()),
            "nats/token, training, mean since the point before",
        ),
        _field("steps", pa.int64(), "optimizer steps done"),
        _field("tokens", pa.int64(), "training tokens seen"),
        _field("params_total", pa.int64(), "parameters without embedding and LM head (P_tot)"),
        _field(
            "params_active",
            pa.int64(),
            "parameters per token without embedding and LM head (P_act)",
        ),
        _field("params_table", pa.int64(), "parameters in n-gram tables"),
        _field(
            "table_rows",
            pa.list_(pa.list_(pa.int64())),
            "rows of the n-gram tables, by table and order, heads summed",
        ),
        _field(
            "rows_touched",
            pa.list_(pa.list_(pa.int64())),
            "rows that training looked up at least once, by table and order, heads summed",
        ),
        _field("flops_per_token", pa.int64(), "FLOPs, forward and backward"),
        _field("routed_experts", pa.int64(), "routed experts per MoE layer"),
        _field(
            "expert_load",
            pa.list_(pa.list_(pa.float32())),
            "share of a router's choices, by layer, last tenth",
        ),
        _field(
            "dead_experts", pa.int64(), "experts that got no token in the last tenth, all layers"
        ),
        _field("gate_mean", pa.list_(pa.float32()), "mean Engram gate at validation, by module"),
        _field(
            "tokens_per_second", pa.float64(), "training tokens per second, validation left out"
        ),
        _field("restarts", pa.int64(), "attempts after the first"),
        _field("wall_seconds", pa.float64(), "seconds of all attempts, queues left out"),
        _field("gpu_hours", pa.float64(), "hours of all attempts times GPUs; 0 on CPUs"),
        _field("world_size", pa.int64(), "processes of the run"),
        _field("corpus_fingerprint", pa.string(), "xxh3_128 of the token shards"),
        _field(
            "tokenizer_fingerprint",
            pa.string(),
            "xxh3_128 of the tokenizer's name and compression map",
        ),
        _field(
            "git_commit", pa.string(), "commit, '+dirty' appended where files differ", nullable=True
        ),
        _field(
            "git_diff",
            pa.string(),
            "xxh3_128 of how tracked files differ, where they do",
            nullable=True,
        ),
        _field("versions", pa.map_(pa.string(), pa.string()), "versions of python and libraries"),
        _field("host", pa.string(), "host name, of the first process"),
        _field("device", pa.string(), "accelerator, or processor and its vector instructions"),
        _field("driver", pa.string(), "version of the accelerator's driver", nullable=True),
        _field("started_at", pa.timestamp("us", tz="UTC"), "UTC, first attempt"),
        _field("finished_at", pa.timestamp("us", tz="UTC"), "UTC"),
        _field("spec", pa.string(), "canonical JSON of the spec"),
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
