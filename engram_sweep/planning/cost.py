"""What a sweep costs before it is launched: GPU-hours, wall-clock, memory per GPU, disk, money.

Memory, traffic and the time of a step are those of the placement that a launch would train under
(`engram_sweep.planning.placement`).
"""

from __future__ import annotations

import heapq
from dataclasses import asdict, dataclass
from typing import Any

from engram_sweep.config.launch import Launch
from engram_sweep.config.slurm import Shape
from engram_sweep.errors import UserError
from engram_sweep.placement import Placement
from engram_sweep.planning.bill import bill_of, too_large
from engram_sweep.planning.gpus import GPUS
from engram_sweep.planning.kept_weights import kept_bytes, weight_bytes
from engram_sweep.planning.optimizers import state_bytes
from engram_sweep.planning.placement import place, shape_of
from engram_sweep.planning.plan import Plan, PlannedRun

KEPT_CHECKPOINTS = 2
"""Whole checkpoints (weights and moments) of a run in flight: one may be half-written."""


@dataclass(frozen=True)
class Price:
    """What the estimate assumes, beside the plan."""

    gpu: str
    mfu: float
    """Share of the dense bf16 peak that training sustains, of all FLOPs that the ledger counts."""
    gpus_per_run: int
    gpus: int
    """GPUs given to the whole sweep."""
    per_gpu_hour: float | None = None
    """Money per GPU-hour, in any currency."""


def price_of(
    launch: Launch,
    gpu: str | None = None,
    mfu: float | None = None,
    gpus: int | None = None,
    per_gpu_hour: float | None = None,
) -> Price | None:
    """Return the scale's assumptions under the command line's; None for CPU workers.

    Raises:
        UserError: the GPUs given do not hold one run, or the utilisation is no share.
    """
    kind = gpu or launch.gpu
    if kind is None:
        if mfu is not None or gpus is not None or per_gpu_hour is not None:
            raise UserError(
                "--mfu, --gpus and --price: expected --gpu beside them, this scale runs on CPUs"
            )
        return None
    if mfu is not None and not 0 < mfu <= 1:
        raise UserError(f"--mfu: expected a share above 0 and at most 1, got {mfu:g}")
    if gpus is not None and gpus < launch.gpus:
        raise UserError(f"--gpus: expected at least the {launch.gpus} GPUs of one run, got {gpus}")
    given = gpus or launch.gpus * max(1, launch.parallel)
    return Price(kind, mfu or launch.mfu, launch.gpus, given, per_gpu_hour)


def cost(plan: Plan, price: Price | None, occupied: Shape | None = None) -> dict[str, Any]:
    """Return what the sweep takes, as plain data.

    Args:
        plan: the plan.
        price: what to assume of the GPUs; None estimates hours of one CPU worker at the scale's
            sustained speed.
        occupied: nodes and processes of one run, if a scheduler has been chosen.

    Returns:
        runs, tokens, flops and kept_bytes (of final weights, on disk); for CPU workers
        sustained_gflops and worker_hours; for GPUs the assumptions, gpu_hours, gpu_hours_per_run
        (least and most), wall_hours, disk_bytes, with a price money, and what
        `engram_sweep.planning.bill.Bill.row` says of the placement.

    Raises:
        UserError: the mesh or the micro-batches that the scale asks for cannot be.
    """
    flops = sum(run.flops for run in plan.runs)
    found: dict[str, Any] = {
        "runs": len(plan.runs),
        "tokens": sum(run.tokens for run in plan.runs),
        "flops": flops,
        "kept_bytes": kept_bytes(plan),
    }
    if price is None:
        speed = plan.scale.launch.sustained_gflops
        assert speed is not None, "a scale without launch.gpu has launch.sustained_gflops"
        return {**found, "sustained_gflops": speed, "worker_hours": flops / (speed * 1e9) / 3600}
    gpu = GPUS[price.gpu]
    hours = [run.flops / (gpu.peak_flops * price.mfu) / 3600 for run in plan.runs]
    return {
        **found,
        **asdict(price),
        "gpu_name": gpu.name,
        "gpu_peak_flops": gpu.peak_flops,
        "gpu_memory_bytes": gpu.memory_bytes,
        "gpu_hours": sum(hours),
        "gpu_hours_per_run": [min(hours), max(hours)],
        "wall_hours": _wall_hours(
            [h / price.gpus_per_run for h in hours], price.gpus // price.gpus_per_run
        ),
        **bill_of(plan, occupied or shape_of(plan.scale), gpu, price.mfu).row(),
        "disk_bytes": _disk_bytes(plan, price.gpus // price.gpus_per_run),
        "money": None if price.per_gpu_hour is None else price.per_gpu_hour * sum(hours),
    }


def _wall_hours(hours: list[float], slots: int) -> float:
    """Hours until the last run ends, each starting in launch order as soon as a slot is free."""
    ends = [0.0] * min(slots, len(hours))
    for h in hours:
        heapq.heapreplace(ends, ends[0] + h)
    return max(ends)


def _disk_bytes(plan: Plan, slots: int) -> int:
    """Return bytes of the weights that are kept and of checkpoints of the largest in flight."""
    whole = [weight_bytes(run) + optimizer_bytes(run) for run in plan.runs]
    return kept_bytes(plan) + KEPT_CHECKPOINTS * sum(sorted(whole)[-slots:])


def optimizer_bytes(run: PlannedRun) -> int:
    """Return the bytes of one run's optimizer states, of all its GPUs."""
    entries = run.allocation.ledger.entries
    return sum(state_bytes(run.spec.training, entry) for entry in entries if entry.shape)


def check_gpu_hours(plan: Plan, gpu_hours: float, raised: float | None) -> None:
    """Refuse what costs more than the scale allows.

    Args:
        plan: the plan.
        gpu_hours: what is left to train.
        raised: `--max-gpu-hours`, in place of `budget.max_gpu_hours`.

    Raises:
        UserError: it takes more.
    """
    if (problem := over_gpu_hours(plan, gpu_hours, raised)) is not None:
        raise UserError(f"{plan.scale.name}: {problem}")


def over_gpu_hours(plan: Plan, gpu_hours: float, raised: float | None = None) -> str | None:
    """Return by how much a sweep costs more than it may, in words; None if it does not."""
    allowed = plan.scale.budget.max_gpu_hours if raised is None else raised
    if allowed is None or gpu_hours <= allowed:
        return None
    whose = "budget.max_gpu_hours" if raised is None else "--max-gpu-hours"
    return (
        f"expected at most the {allowed:,.0f} GPU-hours of {whose}, the sweep takes "
        f"{gpu_hours:,.0f}; --max-gpu-hours {_ceiling(gpu_hours)} allows them"
    )


def placement_of(plan: Plan, occupied: Shape) -> Placement:
    """Return how every run of a plan lies on its processes.

    Args:
        plan: the whole sweep.
        occupied: nodes and processes of one run.

    Raises:
        UserError: the mesh or the micro-batches asked for cannot be, or a run needs more memory
            than its GPUs have, however it is placed; names the smallest mesh that would do.
    """
    found = place(plan, occupied)
    if found is None:
        estimate = cost(plan, price_of(plan.scale.launch), occupied)
        raise UserError(f"{plan.scale.name}: {too_large(estimate)}; nothing was launched")
    return found


def _ceiling(hours: float) -> int:
    """Return the hours, rounded up to three figures."""
    unit = 10 ** max(0, len(str(int(hours))) - 3)
    return (int(hours) // unit + 1) * unit
