"""Simulated tables of runs that several test files read."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from analysis.curve.readings import Interval
from analysis.simulation.sweeps import TRUTHS, Noise, simulate
from engram_sweep.planning.plan import make_plan
from engram_sweep.runs.record_schema import SCHEMA as RECORD
from engram_sweep.runs.record_schema import SCHEMA_VERSION
from engram_sweep.spec import canonical_json
from tests.examples import scale

NINE = np.linspace(0.2, 1.0, 9)
"""Values of rho of most simulated sweeps."""
EXACT = Noise(run=0.0, seed=0.0)
"""No noise: every run has the loss of the truth."""


def sweep(
    truth: str = "paper", rho=NINE, seeds: int = 3, noise: Noise | None = None, seed: int = 0
) -> pd.DataFrame:
    """Simulate a sweep of a known truth (one of TRUTHS), by default of nine rho and three seeds."""
    return simulate(TRUTHS[truth], rho, seeds, noise or Noise(), np.random.default_rng(seed))


def with_arms(table: pd.DataFrame) -> pd.DataFrame:
    """Add control arms as a sweep records them: one_row keeps all experts, dense has none."""
    moe = table[table["rho"] == 1].set_index("seed")["validation_loss"]
    rows = [
        {"arm": arm, "rho": rho, "seed": seed, "outcome": "ok", "validation_loss": loss - better}
        for arm, rho, better in (
            ("over_encoding", 0.8, 0.006),
            ("one_row", 1.0, 0.001),
            ("dense", 0.0, -0.4),
        )
        for seed, loss in moe.items()
    ]
    return pd.concat([table, pd.DataFrame(rows)], ignore_index=True)


def iso_sweep(
    penalty: float, seeds: int = 3, noise: float = 0.0, seed: int = 0, **changes: Any
) -> pd.DataFrame:
    """Invent the records of a sweep under both iso modes, as its plan would write them.

    Args:
        penalty: strict's loss minus paper's at every rho below 1, nats/token.
        seeds: seeds of every point.
        noise: standard deviation of a run beyond the shift of its seed, nats/token.
        seed: of the noise.
        changes: of the example scale (`tests.examples.scale`).
    """
    rng = np.random.default_rng(seed)
    shift = rng.normal(0, 0.02, seeds)
    both = {"sweep__iso": ["strict", "paper"], "sweep__seeds": list(range(seeds))}
    rows = []
    for run in make_plan(scale(**both | changes)).runs:
        loss = float(TRUTHS["paper"].loss(np.array(run.spec.rho))) + shift[run.spec.seed]
        loss += penalty * (run.axes.get("iso") == "strict") + noise * rng.standard_normal()
        planned = run.row()
        rows.append(
            {
                **{key: planned[key] for key in ("run_id", "arm", "rho", "rho_asked", "seed")},
                **run.allocation.ledger.sums(),
                "tokens": run.tokens,
                "scale": run.scale,
                "spec": canonical_json(run.spec),
                "outcome": "ok",
                "validation_loss": loss,
            }
        )
    return pd.DataFrame(rows)


def ablation(
    worth: dict[str, float],
    seeds: int = 3,
    noise: float = 0.002,
    seed: int = 0,
    **changes: Any,
) -> pd.DataFrame:
    """Invent the records of a sweep with variants, as its plan would write them.

    Args:
        worth: by variant, its loss minus the whole module's, nats/token; each has a hash seed.
        seeds: seeds of every point.
        noise: standard deviation of a run beyond the shift of its seed, nats/token.
        seed: of the noise.
        changes: of the example scale (`tests.examples.scale`).
    """
    rng = np.random.default_rng(seed)
    shift = rng.normal(0, 0.02, seeds)
    variants = {name: {"memory.hash_seed": at + 1} for at, name in enumerate(worth)}
    asked = {"sweep__variants": variants, "sweep__seeds": list(range(seeds)), **changes}
    rows = []
    for run in make_plan(scale(**asked)).runs:
        planned = run.row()
        loss = float(TRUTHS["paper"].loss(np.array(run.spec.rho))) + shift[run.spec.seed]
        loss += worth.get(run.spec.arm.partition("/")[2], 0.0) + noise * rng.standard_normal()
        rows.append(
            {
                **{key: planned[key] for key in ("run_id", "arm", "rho", "rho_asked", "seed")},
                "rows_per_head_asked": planned["rows_per_head_asked"],
                **run.allocation.ledger.sums(),
                "tokens": run.tokens,
                "scale": run.scale,
                "spec": canonical_json(run.spec),
                "outcome": "ok",
                "validation_loss": loss,
            }
        )
    return pd.DataFrame(rows)


def limits(interval: Interval) -> np.ndarray:
    """Return low, value and high as numbers, shape (3,)."""
    return np.array([interval.low, interval.value, interval.high], dtype=float)


def write_runs(results: Path, scale: str, table: pd.DataFrame) -> None:
    """Write the table as the finished runs of a sweep: one folder and one record each."""
    for number, row in enumerate(table.to_dict(orient="records")):
        always = {
            "schema_version": SCHEMA_VERSION,
            "run_id": f"{number:04d}",
            "scale": scale,
            "arm": "engram",
            "outcome": "ok",
        }
        row = always | row
        cells = {
            name: pa.array([value], RECORD.field(name).type if name in RECORD.names else None)
            for name, value in row.items()
        }
        folder = results / scale / "runs" / row["run_id"]
        folder.mkdir(parents=True)
        pq.write_table(pa.table(cells), folder / "record.parquet")


def trained(table: pd.DataFrame, layers: int = 2, modules: int = 1) -> pd.DataFrame:
    """Add what a record says of the training: curves that end at the loss, load, gates, speed."""
    points = np.arange(1, 31)
    experts = [2 + round(10 * rho) for rho in table["rho"].fillna(0)]
    return table.assign(
        steps=300,
        tokens=300_000,
        curve_steps=[points * 10] * len(table),
        curve_losses=[loss + 3 / points for loss in table["validation_loss"]],
        expert_load=[[np.full(count, 1 / count)] * layers for count in experts],
        dead_experts=0,
        gate_mean=[
            [] if arm == "moe" else [0.5 + 0.1 * module for module in range(modules)]
            for arm in table["arm"]
        ],
        tokens_per_second=10_000.0,
        wall_seconds=30.0,
        device="cpu",
    )


def full_table() -> pd.DataFrame:
    """Runs of every arm with one loss missing and what the page says of their origin."""
    table = with_arms(sweep(noise=Noise(windows=8)))
    table.loc[4, "validation_loss"] = float("nan")
    return table.assign(
        git_commit="abc <dirty>",
        host="node",
        versions=[[("torch", "2.15")]] * len(table),
        wall_seconds=60.0,
    )
