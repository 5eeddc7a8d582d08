"""One page: what of a sweep was rehearsed, what it found, and what only a GPU can show."""

from __future__ import annotations

import math
from collections.abc import Sequence

from engram_sweep.planning.bill import Bill
from engram_sweep.planning.gpus import Gpu
from engram_sweep.planning.plan import Plan
from engram_sweep.rehearsal.mesh import MAX_OFF, MeshRehearsal
from engram_sweep.rehearsal.practice import TOLERANCE, Practised

ONLY_A_GPU = (
    "NCCL: whether its collectives of these sizes come to an end, how fast, in which order on the "
    "streams, and what its buffers take. The reserve of a tenth of the memory is for them.",
    "Kernels: fused attention with heads of unequal widths, grouped products, what the sustained "
    "share of the peak is. `launch.mfu` is what peers report.",
    "What an allocator makes of the bytes that were traced: fragmentation.",
    "How much of the links' time hides behind compute. On paper all of it does but the rows'.",
    "The exchange of n-gram rows at full size: which rows are distinct depends on the text, so the "
    "bill takes none to be asked for twice.",
    "Losses. The twin's mean nothing but that a mesh and one process agree.",
)


def as_page(
    plan: Plan,
    bill: Bill,
    gpu: Gpu,
    meshes: Sequence[MeshRehearsal],
    practised: Sequence[Practised],
) -> str:
    """Return the page as markdown."""
    row, name = bill.row(), plan.scale.name
    placement = bill.placement
    holds = all(each.holds for each in (*meshes, *practised))
    lines = [
        f"# Rehearsal of {name}: {'everything held' if holds else 'NOT everything held'}",
        "",
        f"{len(plan.runs)} runs of {bill.shape.processes} {gpu.name}: {placement.replicas} copies "
        f"x {placement.shards} GPUs, {bill.micro_batches} x {placement.micro_windows} windows a "
        f"GPU and step, {'blocks' if placement.recompute else 'nothing'} computed twice, logits "
        f"of {placement.loss_chunk:,} tokens at once, tables on the {placement.tables}. "
        f"{_gigabytes(bill.memory.total)} of {_gigabytes(row['room_bytes'])} a GPU; "
        f"{bill.time.seconds:.2g} s a step on paper, bound by {bill.time.bound}.",
        "",
        "## The real mesh, traced",
        "",
        "The real model, cut as on its GPUs, two micro-batches and a step of the optimizers "
        "without values: bytes on the first GPU of a run beside the bill that the plan prints.",
    ]
    for mesh in meshes:
        spec = mesh.run.spec
        lines += [
            "",
            f"{spec.arm}, rho {spec.rho:.3f}, {spec.geometry.routed_experts} experts "
            f"({mesh.seconds:.0f} s). Collectives of a micro-batch: "
            + ", ".join(f"{count} {_plain(call)}" for call, count in sorted(mesh.calls.items()))
            + ".",
            "",
            "| | bill | traced | off | allowed | |",
            "|---|---|---|---|---|---|",
        ]
        for line in mesh.held:
            allowed = "upper bound" if math.isinf(line.allowed) else f"{line.allowed:.0%}"
            lines.append(
                f"| {line.what} | {_gigabytes(line.bill)} | {_gigabytes(line.traced)} | "
                f"{line.off:+.1%} | {allowed} | {_verdict(line.holds)} |"
            )
    lines += [
        "",
        "Not traced: n-gram tables (rows are handed in, those of the owner are counted), and the "
        "kernel of attention (stood in for by one that keeps what fused kernels keep).",
        "",
        "## The twin, trained",
        "",
        "The same layers, experts, streams, arms, optimizers and launcher with small widths, on "
        "CPU processes. The last run of each launcher was killed in the middle and came back from "
        "its checkpoint. Off: largest difference of a training loss from one process, nats/token "
        f"(allowed: {TOLERANCE[plan.scale.training.precision]:g}).",
        "",
        "| launcher | mesh | arm | rho | steps | attempts | killed | off | |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for each in practised:
        spec = each.run.spec
        off = "-" if math.isnan(each.off) else f"{each.off:.1e}"
        lines.append(
            f"| {each.launcher} | {each.mesh} | {spec.arm} | {spec.rho:.3f} | {each.steps} | "
            f"{each.attempts} | {'yes' if each.was_killed else 'no'} | {off} | "
            f"{_verdict(each.holds)}{'' if each.outcome == 'ok' else f': {each.outcome}'} |"
        )
    if not any(each.launcher == "slurm" for each in practised):
        lines += ["", "No SLURM here answers: the twin was not submitted to one."]
    lines += ["", "## What only a GPU can show", "", *(f"- {each}" for each in ONLY_A_GPU), ""]
    lines += [f"Bill and trace may differ by {MAX_OFF:.0%} in what is not counted exactly."]
    return "\n".join(lines) + "\n"


def _verdict(holds: bool) -> str:
    return "held" if holds else "NOT HELD"


def _plain(call: str) -> str:
    """Return a collective by its plain name."""
    names = {
        "_allgather_base_": "all-gathers",
        "_reduce_scatter_base_": "reduce-scatters",
        "allreduce_": "all-reduces",
    }
    return names.get(call, call)


def _gigabytes(size: float) -> str:
    return f"{size / 1e9:,.2f} GB"
