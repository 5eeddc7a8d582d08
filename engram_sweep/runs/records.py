"""The record of a finished run: one parquet file, one row, a schema with a version.

A run is done when, and only when, its record validates. Units are in the field metadata.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from engram_sweep.atomic_files import read_json, write_atomically, write_json
from engram_sweep.errors import UserError
from engram_sweep.runs.record_cache import FOLDER, collect

if TYPE_CHECKING:
    import pandas as pd

SCHEMA_VERSION = 2
FILE_NAME = "record.parquet"


def _field(name: str, kind: pa.DataType, unit: str, nullable: bool = False) -> pa.Field:
    return pa.field(name, kind, nullable=nullable, metadata={"unit": unit})


SCHEMA = pa.schema(
    [
        _field("schema_version", pa.int32(), "version of this schema"),
        _field("run_id", pa.string(), "xxh3_128 of the canonical spec"),
        _field("scale", pa.string(), "name"),
        _field("arm", pa.string(), "moe, engram, over_encoding, one_row or dense"),
        _field("rho_asked", pa.float64(), "share of P_sparse in routed experts"),
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
        _field("device", pa.string(), "processor or accelerator"),
        _field("driver", pa.string(), "version of the accelerator's driver", nullable=True),
        _field("started_at", pa.timestamp("us", tz="UTC"), "UTC, first attempt"),
        _field("finished_at", pa.timestamp("us", tz="UTC"), "UTC"),
        _field("spec", pa.string(), "canonical JSON of the spec"),
    ]
)


def write_record(path: Path, values: dict[str, Any]) -> None:
    """Write one record, once: temporary file, sync, read back, rename.

    Args:
        path: where to.
        values: a value for every column but `schema_version`.

    Raises:
        ValueError: a column is missing, unknown or of another type.
        OSError: the disk is full or read-only; nothing is left behind.
    """
    row = {"schema_version": SCHEMA_VERSION, **values}
    if set(row) != set(SCHEMA.names):
        raise ValueError(
            f"record columns differ from the schema: {sorted(set(row) ^ set(SCHEMA.names))}"
        )
    try:
        table = pa.Table.from_pylist([row], schema=SCHEMA)
        table.validate(full=True)
        whole = pa.BufferOutputStream()
        # Refuses a missing value if the schema wants one. Without dictionaries and statistics,
        # which one row has no use for, a record is a third smaller and read faster.
        pq.write_table(table, whole, use_dictionary=False, write_statistics=False)
    except (pa.ArrowException, TypeError) as error:
        raise ValueError(f"record does not fit the schema: {error}") from error

    def write(temporary: Path) -> None:
        temporary.write_bytes(whole.getvalue())
        # By text, because a diverged run's NaN does not equal itself.
        if repr(pq.read_table(temporary).to_pylist()) != repr(table.to_pylist()):
            raise OSError(f"{path}: the record read back differs from what was written")

    write_atomically(path, write)


def is_done(folder: Path, run_id: str) -> bool:
    """Return whether a run folder holds a whole record of this very run."""
    try:
        table = pq.read_table(
            folder / FILE_NAME, columns=["run_id", "schema_version", "validation_loss"]
        )
    except (OSError, pa.ArrowException):
        return False
    return table.num_rows == 1 and table["run_id"][0].as_py() == run_id


def read_parquet(path: Path) -> pd.DataFrame:
    """Any table of runs in one parquet file.

    Raises:
        UserError: the file is missing, no parquet, or lacks rho, seed or validation_loss.
    """
    try:
        frame = pq.read_table(path).to_pandas()
    except FileNotFoundError:
        raise UserError(f"{path}: expected a parquet file, there is none") from None
    except (OSError, pa.ArrowException) as error:
        raise UserError(
            f"{path}: expected a readable parquet file: {str(error).splitlines()[0]}"
        ) from None
    missing = [name for name in ("rho", "seed", "validation_loss") if name not in frame.columns]
    if missing:
        raise UserError(
            f"{path}: expected the columns rho, seed and validation_loss, {', '.join(missing)} "
            "missing"
        )
    return frame


def runs_folder(results: Path, scale: str) -> Path:
    """Folder of all run folders of a scale."""
    return results / scale / "runs"


def write_members(scale: str, run_ids: list[str], results: Path) -> None:
    """Note which runs the sweep consists of; runs of an earlier YAML stay out of its table.

    Raises:
        OSError: the folder cannot be written.
    """
    path, members = results / scale / "sweep.json", {"runs": sorted(run_ids)}
    if read_json(path) != members:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, members)


def read_runs(scale: str, results: Path = Path("results")) -> pd.DataFrame:
    """Return the finished runs of a scale: one row per record, by arm, rho and seed.

    Only runs that the last `sweep` consisted of count; all there are if that is not known.

    Raises:
        UserError: no finished run yet, or a record that cannot be read.
    """
    return _table_of_runs(scale, results).to_pandas()


def export_runs(scale: str, results: Path, path: Path) -> int:
    """Write the finished runs of a scale to one file, to hand on; return how many there are.

    Raises:
        UserError: no finished run yet, or the file cannot be written.
    """
    table = _table_of_runs(scale, results)
    try:
        write_atomically(path, lambda temporary: pq.write_table(table, temporary))
    except OSError as error:
        raise UserError(
            f"{path}: expected a file that can be written: {error.strerror or error}"
        ) from None
    return table.num_rows


def _table_of_runs(scale: str, results: Path) -> pa.Table:
    """Return the finished runs that are members of the sweep, sorted by arm, rho and seed."""
    runs = runs_folder(results, scale)
    table, unreadable = collect(runs, FILE_NAME)
    if members := read_json(results / scale / "sweep.json"):
        ours = set(members["runs"])
        if not ours.issuperset(names := table[FOLDER].to_pylist()):
            table = table.filter(pa.array([name in ours for name in names]))
        unreadable = [name for name in unreadable if name in ours]
    for name in unreadable:
        read_parquet(runs / name / FILE_NAME)  # says why it cannot be read
        raise UserError(f"{runs / name / FILE_NAME}: expected the record of one run")
    if not table.num_rows:
        raise UserError(f"{runs}: no finished runs; make sweep SCALE={scale} trains them")
    order: list[tuple[str, str]] = [(name, "ascending") for name in ("arm", "rho", "seed")]
    return table.drop_columns([FOLDER]).sort_by(order)
