"""How long plan, status and report take for 10,000 runs, wall-clock, as a user calls them.

The runs are planned from the tiny sweep on a finer grid of rho with many seeds; their records are
invented and written through the public API. Each command is timed as a process of its own, after a
sweep that finds nothing to train and leaves its table of the records; and status and report once
more without that table, which every driver leaves.

make bench
"""

from __future__ import annotations

import argparse
import math
import resource
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from engram_sweep.config.scale import load_scale
from engram_sweep.launch.status import folder_of
from engram_sweep.planning.plan import Plan, PlannedRun, make_plan
from engram_sweep.runs.record_cache import COPY
from engram_sweep.runs.records import SCHEMA, write_members, write_record
from engram_sweep.spec import canonical_json

RHOS = 50
"""Asked for; some of them round to the same allocation."""
WINDOWS = 64
PROMISE, NO_TABLE = "(promise: 5 s wall)", "without the table"
TIMED = (
    ("sweep", "finds nothing to train"),
    ("plan", PROMISE),
    ("status", PROMISE),
    ("report", PROMISE),
    ("status", NO_TABLE),
    ("report", NO_TABLE),
)


def write_sweep(folder: Path, runs: int) -> Plan:
    """Return the tiny sweep as `<folder>/many.yaml`, with at least that many runs."""
    data = yaml.safe_load(Path("sweeps/tiny.yaml").read_text())
    folder.mkdir(parents=True, exist_ok=True)
    points = 0
    while True:
        seeds = list(range(math.ceil(runs / points) if points else 1))
        data["sweep"] |= {"rho": np.linspace(0, 1, RHOS).round(3).tolist(), "seeds": seeds}
        (folder / "many.yaml").write_text(yaml.safe_dump(data, sort_keys=False))
        plan = make_plan(load_scale("many", folder))
        if points:
            return plan
        points = len(plan.runs)


def invented_record(run: PlannedRun, scale: str) -> dict[str, Any]:
    """A record with a U over rho, seed noise and per-window losses.

    Every other column is of a likely size.
    """
    random = np.random.default_rng([run.spec.seed, run.allocation.geometry.routed_experts])
    loss = 1.5 + 0.1 * (run.spec.rho - 0.5) ** 2 + random.normal(0, 0.003)
    now, experts = datetime.now(UTC), run.spec.geometry.routed_experts
    ledger = run.allocation.ledger
    known = {
        "run_id": run.run_id,
        "scale": scale,
        "arm": run.spec.arm,
        "rho_asked": run.allocation.rho_asked,
        "table_rows": [[1000, 1000]],
        "rows_touched": [[900, 1000]],
        "rho": run.spec.rho,
        "seed": run.spec.seed,
        "outcome": "ok",
        "validation_loss": loss,
        "window_losses": random.normal(loss, 0.2, WINDOWS).tolist(),
        "window_tokens": [128] * WINDOWS,
        "train_loss": loss,
        "steps": run.spec.training.steps,
        "tokens": run.tokens,
        "routed_experts": experts,
        "params_total": ledger.params_total,
        "params_active": ledger.params_active,
        "params_table": ledger.params_table,
        "flops_per_token": ledger.flops_per_token,
        "expert_load": [[1 / experts] * experts] * 2,
        "dead_experts": 0,
        "gate_mean": [0.5],
        "tokens_per_second": 1e4,
        "wall_seconds": 60.0,
        "versions": {"python": "3", "torch": "2"},
        "started_at": now,
        "finished_at": now,
        "spec": canonical_json(run.spec),
    }
    # Columns that this file does not know get any value of their type.
    fill = {
        "string": "x",
        "int64": 1,
        "int32": 1,
        "double": 1.0,
        "list<element: int64>": [1],
        "list<item: int64>": [1],
    }
    left = [field for field in SCHEMA if field.name not in known and field.name != "schema_version"]
    return known | {f.name: None if f.nullable else fill.get(str(f.type), [1.0]) for f in left}


def write_runs(plan: Plan, results: Path) -> None:
    """Every run finished."""
    for run in plan.runs:
        folder = folder_of(run, results)
        folder.path.mkdir(parents=True, exist_ok=True)
        write_record(folder.record, invented_record(run, plan.scale.name))
    write_members(plan.scale.name, [run.run_id for run in plan.runs], results)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument(
        "--folder", type=Path, help="keep sweeps and results here, and take what is there"
    )
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        sweeps, results = folder / "sweeps", folder / "results"
        plan = write_sweep(sweeps, options.runs)
        if not (results / "many").exists():
            began = time.monotonic()
            write_runs(plan, results)
            print(f"writing {len(plan.runs):,} records {time.monotonic() - began:8.1f} s")
        for command, note in TIMED:
            if note == NO_TABLE:
                (results / "many" / COPY).unlink(missing_ok=True)
            words = [
                sys.executable,
                "-m",
                "engram_sweep.cli.main",
                command,
                "many",
                "--results",
                str(results),
            ]
            words += [] if command == "report" else ["--sweeps", str(sweeps)]
            began, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
            subprocess.run(words, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
            print(f"{command:8s} {time.monotonic() - began:8.1f} s wall, {cpu:5.1f} s CPU   {note}")


if __name__ == "__main__":
    main()
