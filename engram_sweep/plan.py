"""Scale -> plan: every run resolved, with its identity, and what the sweep will cost. No torch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from engram_sweep.allocation import Allocation, allocate
from engram_sweep.scale import Scale
from engram_sweep.spec import SPEC_SCHEMA, CorpusSpec, RunSpec, TrainingSpec, run_id


@dataclass(frozen=True)
class PlannedRun:
    """One run of a sweep: what to train and how it was asked for."""

    scale: str
    run_id: str
    spec: RunSpec
    allocation: Allocation

    @property
    def flops(self) -> int:
        """FLOPs of the whole run, forward and backward."""
        return self.allocation.ledger.flops_per_token * self.tokens

    @property
    def tokens(self) -> int:
        """Training tokens, in whole steps."""
        training = self.spec.training
        return training.steps * training.window * training.batch_windows

    def row(self) -> dict[str, Any]:
        """The run as plain data, for tables and `--json`."""
        a, memory = self.allocation, self.spec.geometry.memory
        rows = [p for table in memory.rows for order in table for p in order] if memory else []
        return {
            "run_id": self.run_id,
            "arm": self.spec.arm,
            "rho_asked": a.rho_asked,
            "rho": a.rho,
            "seed": self.spec.seed,
            "routed_experts": self.spec.geometry.routed_experts,
            "shared_width": list(self.spec.geometry.shared_width),
            "rows_per_head": [min(rows), max(rows)] if rows else None,
            "params_total": a.ledger.params_total,
            "params_active": a.ledger.params_active,
            "params_table": a.ledger.params_table,
            "flops_per_token": a.ledger.flops_per_token,
            "tokens": self.tokens,
        }


@dataclass(frozen=True)
class Plan:
    """All runs of a scale, in launch order: seed by seed, so that a stopped sweep leaves whole curves."""

    scale: Scale
    runs: tuple[PlannedRun, ...]

    def cost(self) -> dict[str, Any]:
        """What the sweep takes: runs, tokens, FLOPs, and hours of one worker at the scale's sustained speed."""
        flops = sum(run.flops for run in self.runs)
        return {
            "runs": len(self.runs),
            "tokens": sum(run.tokens for run in self.runs),
            "flops": flops,
            "sustained_gflops": self.scale.launch.sustained_gflops,
            "worker_hours": flops / (self.scale.launch.sustained_gflops * 1e9) / 3600,
        }


def make_plan(scale: Scale) -> Plan:
    """Resolve every run of a scale.

    Points of the grid that round to the same integer solution are one run, not two.

    Raises:
        UserError: a point has no integer solution.
    """
    runs: dict[str, PlannedRun] = {}
    allocations = list(_allocations(scale))
    for seed in scale.sweep.seeds:
        for allocation in allocations:
            spec = _spec(scale, allocation, seed)
            run = PlannedRun(scale.name, run_id(spec), spec, allocation)
            runs.setdefault(run.run_id, run)
    return Plan(scale, tuple(runs.values()))


def _allocations(scale: Scale) -> Iterator[Allocation]:
    for rho in scale.sweep.rho:
        yield allocate(scale, rho)
    for rho in scale.sweep.arms.over_encoding:
        yield allocate(scale, rho, "over_encoding")
    if scale.sweep.arms.one_row:
        yield allocate(scale, 1.0, "one_row")
    if scale.sweep.arms.dense:
        yield allocate(scale, 0.0, "dense")


def _spec(scale: Scale, allocation: Allocation, seed: int) -> RunSpec:
    return RunSpec(
        schema=SPEC_SCHEMA,
        arm=allocation.arm,
        rho=allocation.rho,
        seed=seed,
        geometry=allocation.geometry,
        corpus=CorpusSpec(**scale.corpus.model_dump()),
        training=TrainingSpec(**scale.training.model_dump()),
    )
