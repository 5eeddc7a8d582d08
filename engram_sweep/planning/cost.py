"""What a sweep costs before it is launched: GPU-hours, wall-clock, memory per GPU, disk, money.

Memory is that of what a launch trains: every GPU of a run holds the whole model and trains its own
windows (data parallel). Beside it stands the price of a sharding that nothing here trains yet:
routed experts and n-gram tables spread evenly over the run's GPUs, with their optimizer states.
"""

from __future__ import annotations

import heapq
from dataclasses import asdict, dataclass
from typing import Any

from engram_sweep.config.launch import Launch
from engram_sweep.errors import UserError
from engram_sweep.planning.kept_weights import WEIGHT_BYTES, kept_bytes, weight_bytes
from engram_sweep.planning.ledger import BACKWARD
from engram_sweep.planning.optimizers import state_bytes
from engram_sweep.planning.plan import Plan, PlannedRun

GRADIENT_BYTES = 4
"""Gradients are float32, as weights are."""
KEPT_CHECKPOINTS = 2
"""Whole checkpoints (weights and moments) of a run in flight: one may be half-written."""
SHARDED_PARTS = ("routed", "table")


@dataclass(frozen=True)
class Gpu:
    """One kind of GPU, by its vendor's data sheet."""

    name: str
    peak_flops: float
    """Dense bf16 FLOP/s; the sheets of Hopper print twice that, with sparsity."""
    memory_bytes: float


GPUS = {
    "h100": Gpu(
        "H100 SXM", 989.5e12, 80e9
    ),  # NVIDIA H100 data sheet: 1,979 TFLOPS bf16 with sparsity, 80 GB
    "h200": Gpu(
        "H200 SXM", 989.5e12, 141e9
    ),  # NVIDIA H200 data sheet: 1,979 TFLOPS bf16 with sparsity, 141 GB
    "a100": Gpu("A100 SXM", 312e12, 80e9),  # NVIDIA A100 data sheet: 312 TFLOPS bf16, 80 GB
}


@dataclass(frozen=True)
class TrainingBytes:
    """Bytes on each GPU of one run."""

    weights: int
    gradients: int
    optimizer: int
    activations: int
    """The least that training takes.

    One window at a time, and every block's forward pass repeated in the backward."""

    @property
    def total(self) -> int:
        """All of them."""
        return self.weights + self.gradients + self.optimizer + self.activations


def training_bytes(run: PlannedRun, gpus: int) -> TrainingBytes:
    """Bytes on each of the `gpus` GPUs that train one run.

    A table's gradient is sparse: it holds the rows that one step looks up, at most.
    """
    rows = components(run, gpus)
    weights, gradients, optimizer = (
        sum(row[f"{key}_bytes_per_gpu"] for row in rows) for key in _STATES
    )
    g, window = run.spec.geometry, run.spec.training.window
    # bf16 inputs of every block; float32 logits and their gradient.
    activations = window * (2 * g.n_layers * g.streams * g.d_model + 2 * 4 * g.vocab_size)
    return TrainingBytes(weights, gradients, optimizer, activations)


_STATES = ("weight", "gradient", "optimizer")


def components(run: PlannedRun, gpus: int) -> list[dict[str, Any]]:
    """Return the ledger by component (tensors of one name in all blocks), with FLOPs and bytes.

    Args:
        run: whose ledger.
        gpus: GPUs of one run.

    Returns:
        One row a component: component, part, in_budget, tensors, params, activated, FLOPs per token
        flops_forward and flops_backward, and weight_, gradient_ and optimizer_bytes, in all and
        `_per_gpu`.
    """
    step = run.spec.training.window * run.spec.training.batch_windows
    rows: dict[str, dict[str, Any]] = {}
    for entry in run.allocation.ledger.entries:
        name = ".".join("*" if word.isdigit() else word for word in entry.name.split("."))
        row = rows.setdefault(
            name, {"component": name, "part": entry.part, "in_budget": entry.in_budget}
        )
        touched = min(entry.count, step * entry.activated) if entry.part == "table" else entry.count
        share = gpus if entry.part in SHARDED_PARTS else 1
        moments = state_bytes(run.spec.training, entry)
        state = (WEIGHT_BYTES * entry.count, GRADIENT_BYTES * touched, moments)
        amounts = {
            "tensors": int(bool(entry.shape)),
            "params": entry.count,
            "activated": entry.activated,
            "flops_forward": entry.flops,
            "flops_backward": BACKWARD * entry.flops,
            **{f"{key}_bytes": size for key, size in zip(_STATES, state, strict=True)},
            **{
                f"{key}_bytes_per_gpu": -(-size // share)
                for key, size in zip(_STATES, state, strict=True)
            },
        }
        for key, amount in amounts.items():
            row[key] = row.get(key, 0) + amount
    return list(rows.values())


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


def cost(plan: Plan, price: Price | None) -> dict[str, Any]:
    """Return what the sweep takes, as plain data.

    Args:
        plan: the plan.
        price: what to assume of the GPUs; None estimates hours of one CPU worker at the scale's
            sustained speed.

    Returns:
        runs, tokens, flops and kept_bytes (of final weights, on disk); for CPU workers
        sustained_gflops and worker_hours; for GPUs the assumptions, gpu_hours, gpu_hours_per_run
        (least and most), wall_hours, memory (bytes per GPU of the run that needs most, as it
        trains: the whole model on each), fits, sharded_bytes (the same with experts and tables
        sharded over a run's GPUs), gpus_that_fit (smallest doubling of a run's GPUs at which that
        suffices, None if none does), disk_bytes and, with a price, money.
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
    # Runs differ along rho; the one that needs most memory decides whether the sweep fits.
    largest = max(plan.runs, key=lambda run: training_bytes(run, 1).total)
    memory = training_bytes(largest, 1)
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
        "memory": {**asdict(memory), "total": memory.total},
        "fits": memory.total <= gpu.memory_bytes,
        "sharded_bytes": training_bytes(largest, price.gpus_per_run).total,
        "gpus_that_fit": _gpus_that_fit(largest, price.gpus_per_run, gpu.memory_bytes),
        "disk_bytes": _disk_bytes(plan, price.gpus // price.gpus_per_run),
        "money": None if price.per_gpu_hour is None else price.per_gpu_hour * sum(hours),
    }


def _wall_hours(hours: list[float], slots: int) -> float:
    """Hours until the last run ends, each starting in launch order as soon as a slot is free."""
    ends = [0.0] * min(slots, len(hours))
    for h in hours:
        heapq.heapreplace(ends, ends[0] + h)
    return max(ends)


def _gpus_that_fit(run: PlannedRun, gpus: int, memory_bytes: float) -> int | None:
    """Double the run's GPUs until it fits; None if no number of GPUs is enough.

    That is so if one GPU cannot hold even what is replicated.
    """
    while training_bytes(run, gpus).total > memory_bytes:
        if gpus > 2**16:
            return None
        gpus *= 2
    return gpus


def _disk_bytes(plan: Plan, slots: int) -> int:
    """Return bytes of the weights that are kept and of checkpoints of the largest in flight."""
    whole = [
        weight_bytes(run) + sum(row["optimizer_bytes"] for row in components(run, 1))
        for run in plan.runs
    ]
    return kept_bytes(plan) + KEPT_CHECKPOINTS * sum(sorted(whole)[-slots:])


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


def check_memory(plan: Plan, price: Price) -> None:
    """Refuse a sweep that one GPU of a run cannot hold.

    Raises:
        UserError: a run needs more memory than a GPU has.
    """
    gpu = GPUS[price.gpu]
    largest = max(training_bytes(run, 1).total for run in plan.runs)
    if largest > gpu.memory_bytes:
        raise UserError(f"{plan.scale.name}: {too_large(largest, gpu.memory_bytes, gpu.name)}")


def too_large(largest: float, memory_bytes: float, gpu: str) -> str:
    """Return that a run does not fit into one GPU, in words."""
    return (
        f"expected runs that fit into the {memory_bytes / 1e9:.0f} GB of one {gpu}, the largest "
        f"takes {largest / 1e9:.0f} GB: sharding experts and tables over GPUs is priced, not "
        "trained yet; nothing was launched"
    )


def _ceiling(hours: float) -> int:
    """Return the hours, rounded up to three figures."""
    unit = 10 ** max(0, len(str(int(hours))) - 3)
    return (int(hours) // unit + 1) * unit
