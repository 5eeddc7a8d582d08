from __future__ import annotations

from dataclasses import replace

from engram_sweep.planning.plan import Plan
from engram_sweep.spec import RunSpec


def spec_of(plan: Plan, rho: float = 0.5, **training: object) -> RunSpec:
    spec = next(run.spec for run in plan.runs if run.allocation.rho_asked == rho)
    return replace(spec, training=replace(spec.training, **{"tokens": 12 * 1024, **training}))
