"""The work order of a run (`run.json`): all that a worker needs, written by the driver."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from engram_sweep.atomic_files import read_json, write_json
from engram_sweep.placement import Placement
from engram_sweep.spec import RunSpec, canonical_json, from_json, plain_data, run_id

FILE_NAME = "run.json"


@dataclass(frozen=True, kw_only=True)
class WorkOrder:
    """What to train, where its text lies, under which limits. The fields are the file's keys."""

    run_id: str
    scale: str
    rho_asked: float
    rows_per_head_asked: int | None
    """Table size asked for in `sweep.rows_per_head`; None if what the experts give up decides."""
    ledger: dict[str, int]
    """The sums of the run's ledger (`Ledger.sums`): parameters, and FLOPs per token."""
    shards: str
    """Folder of token shards."""
    corpus_fingerprint: str
    """xxh3_128 of the shards, as the driver found them."""
    corpus_stamp: str
    """Sizes and times of the shards' files then: if they differ, the worker digests them again."""
    threads: int
    """CPU threads of each process."""
    nodes: int
    devices: int
    """Processes on each node."""
    gpus_per_node: int
    """0 for a run on CPUs."""
    signal_seconds: float
    """How long before its time is up a worker is asked to stop."""
    timeout_minutes: float
    checkpoint_minutes: float
    keep_weights: bool
    """Whether the final weights stay in the run folder."""
    retries: dict[str, int]
    """`launch.retries`: how often the run starts again, by kind of failure."""
    group_readable: bool
    """Whether the group may read what the worker writes."""
    placement: Placement
    """How the run lies on its processes."""
    trackers: tuple[str, ...]
    """`launch.trackers`: where its curves go beside the CSV log."""
    spec: RunSpec

    @property
    def processes(self) -> int:
        """Ranks of the run."""
        return self.nodes * self.devices

    def record_columns(self) -> dict[str, Any]:
        """Return the columns of the record that are known before the run."""
        return {
            "run_id": self.run_id,
            "scale": self.scale,
            "arm": self.spec.arm,
            "rho_asked": self.rho_asked,
            "rows_per_head_asked": self.rows_per_head_asked,
            "rho": self.spec.rho,
            "seed": self.spec.seed,
            "routed_experts": self.spec.geometry.routed_experts,
            "spec": canonical_json(self.spec),
            **self.ledger,
        }

    def write(self, folder: Path) -> None:
        """Write the order into a run folder, atomically.

        Raises:
            OSError: the folder cannot be written.
        """
        write_json(folder / FILE_NAME, {**asdict(self), "spec": plain_data(self.spec)})


def read_work_order(folder: Path) -> WorkOrder:
    """Read the order of a run folder.

    Raises:
        ValueError: there is no whole order, another version wrote it, or it is another run's.
    """
    path = folder / FILE_NAME
    if (data := read_json(path)) is None:
        raise ValueError(f"{path}: expected a work order, got none")
    order = from_json(WorkOrder, _with_later_keys(data))
    if order.placement.processes != order.processes:
        raise ValueError(
            f"{path}: placement: expected {order.processes} processes (nodes x devices), got "
            f"{order.placement.replicas} replicas x {order.placement.shards} shards"
        )
    found = run_id(order.spec)
    if not folder.name == order.run_id == found:
        raise ValueError(
            f"{path}: expected the spec of run {folder.name}, found that of {found}; the next "
            "sweep writes it anew"
        )
    return order


def _with_later_keys(data: Any) -> Any:
    """Return the data of an order with the keys that orders of earlier versions have not."""
    if not isinstance(data, dict):
        return data
    sizes = data.get("nodes"), data.get("devices")
    processes = math.prod(size for size in sizes if isinstance(size, int))
    placement = asdict(Placement(shards=max(1, processes)))
    return {"placement": placement, "trackers": ["tensorboard"], **data}
