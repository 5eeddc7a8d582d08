"""What a person reads of a plan on the terminal: its points, its cost, the ledger of one model."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any

from rich.console import Console
from rich.markup import escape

from engram_sweep.cli.tables import Column, print_table
from engram_sweep.placement import Placement
from engram_sweep.planning.adaptive import pilot_of
from engram_sweep.planning.axes import AXES
from engram_sweep.planning.kept_weights import (
    MAX_KEPT_BYTES,
    keeps_weights,
    kept_bytes,
    weight_bytes,
)
from engram_sweep.planning.memory import components
from engram_sweep.planning.plan import Plan, PlannedRun


class _Console(Console):
    """A terminal that leaves it to `main` to end a command whose output nobody reads."""

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


def console() -> Console:
    """Return the terminal; wide when piped, so that no column is cut off."""
    found = _Console()
    return found if found.is_terminal else _Console(width=160)


def print_plan(plan: Plan, cost: dict[str, Any], notes: Sequence[str] = ()) -> None:
    """Print one line per point of the sweep, what all of it costs, and what is to be known."""
    points = list(
        {(run.axes, run.spec.arm, run.allocation.rho_asked): run for run in plan.runs}.values()
    )
    rows = [run.row() for run in points]
    axes = [axis for axis in AXES.values() if any(row[axis.plan_key] is not None for row in rows)]
    spans = [row["rows_per_head"] for row in rows]
    columns = (
        Column("arm", [row["arm"] for row in rows], right=False),
        *(Column(axis.plan_label, [_asked(row[axis.plan_key]) for row in rows]) for axis in axes),
        Column("rho asked", [f"{row['rho_asked']:g}" for row in rows], rank=5),
        Column("rho", [f"{row['rho']:.3f}" for row in rows]),
        Column("experts", [str(row["routed_experts"]) for row in rows]),
        Column("shared width", [_widths(row["shared_width"]) for row in rows], rank=4),
        Column(
            "rows/head", [f"{span[0]:,}-{span[1]:,}" if span else "-" for span in spans], rank=1
        ),
        Column("P_tot", [f"{row['params_total']:,}" for row in rows]),
        Column("P_act", [f"{row['params_active']:,}" for row in rows], rank=2),
        Column("FLOPs/token", [f"{row['flops_per_token']:,}" for row in rows], rank=6),
        Column("tokens", [f"{row['tokens']:,}" for row in rows], rank=3),
    )
    print_table(console(), f"plan of {plan.scale.name}: {escape(plan.scale.about)}", columns)
    lines = [*cost_lines(plan, cost), *(f"note: {note}" for note in notes)]
    if plan.scale.sweep.design == "adaptive":
        lines.insert(0, adaptive_line(plan))
    for line in lines:
        console().print(line, soft_wrap=True, highlight=False, markup=False)


def _asked(value: float | str | None) -> str:
    if value is None:
        return "-"
    if isinstance(value, str):
        return value
    return f"{value:,}" if isinstance(value, int) else f"{value:g}"


def _widths(widths: list[int]) -> str:
    """Equal neighbours in one: `12288 3072 x29`."""
    groups = [(width, len(list(same))) for width, same in groupby(widths)]
    return " ".join(f"{width} x{count}" if count > 1 else str(width) for width, count in groups)


def cost_lines(plan: Plan, cost: dict[str, Any]) -> list[str]:
    """Return the lines below the table: runs, FLOPs; hours, memory, disk, money for GPUs."""
    seeds = plan.scale.sweep.seeds
    points = sum(run.spec.seed == seeds[0] for run in plan.runs)
    anchors = cost["runs"] - points * len(seeds)
    more = f", {_count(anchors, 'run')} more at rho = 1" if anchors else ""
    which = f"{_count(points, 'point')} x {_count(len(seeds), 'seed')}{more}"
    if plan.scale.sweep.design == "adaptive":
        which = "at most: the pilot, and the longest runs after it"
    first = f"{_count(cost['runs'], 'run')} ({which}), {cost['flops']:.3g} FLOPs in all"
    if "worker_hours" in cost:
        return [
            _held_line(plan),
            f"{first}: {cost['worker_hours']:,.2f} worker-hours at {cost['sustained_gflops']:g} "
            "GFLOP/s",
            _weights_line(plan),
        ]
    largest = max(plan.runs, key=lambda run: run.flops)
    nominal = 6 * largest.allocation.ledger.params_active * largest.tokens
    least, most = cost["gpu_hours_per_run"]
    per_run = (
        _hours(most) if _hours(least) == _hours(most) else f"{_hours(least)} to {_hours(most)}"
    )
    slots = cost["gpus"] // cost["gpus_per_run"]
    lines = [
        _held_line(plan),
        f"{first}; the largest run takes {largest.flops:.3g}, of which 6 P_act tokens are "
        f"{nominal:.3g}",
        f"price: {per_run} GPU-hours a run, {_hours(cost['gpu_hours'])} in all on "
        f"{cost['gpu_name']} at {cost['mfu']:.0%} of {cost['gpu_peak_flops'] / 1e12:g} TFLOP/s "
        "(dense bf16)",
        f"wall-clock: {_duration(cost['wall_hours'])} on {_count(cost['gpus'], 'GPU')}, "
        f"{_count(slots, 'run')} of {cost['gpus_per_run']} at a time",
        _mesh_line(cost),
        _memory_line(cost),
        _step_line(cost),
        _weights_line(plan),
        f"disk: {_gigabytes(cost['disk_bytes'])} for the weights that are kept and two whole "
        "checkpoints of each run in flight",
    ]
    if cost["money"] is not None:
        lines.append(f"money: {cost['money']:,.0f} at {cost['per_gpu_hour']:g} per GPU-hour")
    return lines


def adaptive_line(plan: Plan) -> str:
    """Return how an adaptive sweep goes on and when it ends; the rows above are its candidates."""
    rules, first = plan.scale.sweep.adaptive, pilot_of(plan)
    longest = max(plan.scale.sweep.tokens_per_active)
    flops = sum(run.flops for run in first.runs)
    return (
        f"adaptive, from these candidates: a pilot of {_count(len(first.runs), 'run')}, "
        f"{flops:.3g} FLOPs, then batches of {rules.batch} until the 90 % interval of rho* at "
        f"length {longest:g} is no wider than {rules.width:g} and its floors of {rules.floor} are "
        f"met, looked at {rules.looks} times at most"
    )


def _mesh_line(cost: dict[str, Any]) -> str:
    """Return how a run lies on its GPUs and in how many parts a step is trained."""
    mesh, placement = cost["mesh"], cost["placement"]
    batches = f"{cost['micro_batches']} micro-batch{'es' * (cost['micro_batches'] != 1)}"
    parts = [
        f"mesh: {mesh['replicas']} x {mesh['shards']} GPUs (copies of the weights x GPUs that each "
        f"is cut over; {_count(mesh['nodes'], 'node')} of {mesh['gpus_per_node']})",
        f"a step of {batches} of {_count(placement['micro_windows'], 'window')} a GPU",
        "blocks computed again in the backward pass" if placement["recompute"] else "",
        f"logits of {placement['loss_chunk']:,} tokens at once",
        f"tables in host memory, {_gigabytes(cost['host_bytes'])} a GPU"
        if placement["tables"] == "host"
        else "",
    ]
    return "; ".join(filter(None, parts))


_PARTS = {
    "weights": "weights",
    "gradients": "gradients",
    "optimizer": "optimizer",
    "tables": "tables",
    "gathered": "gathered blocks",
    "block_gradient": "gradient of a block",
    "activations": "activations",
    "logits": "logits",
    "rows": "rows",
}
"""Parts of the memory of a GPU, in words."""


def _memory_line(cost: dict[str, Any]) -> str:
    memory = cost["memory"]
    parts = " + ".join(
        f"{word} {_gigabytes(memory[key])}" for key, word in _PARTS.items() if memory[key]
    )
    line = (
        f"memory: {_gigabytes(memory['total'])} of {_gigabytes(cost['room_bytes'])} per GPU "
        f"({_gigabytes(cost['gpu_memory_bytes'])} but for a reserve): {parts}"
    )
    if cost["fits"]:
        return line
    smallest = cost["smallest_mesh"]
    return f"{line}; DOES NOT FIT: " + (
        f"the smallest mesh that would do is launch.gpus: {smallest['gpus']} with "
        f"launch.shard: {smallest['shards']}"
        if smallest
        else "no mesh of these GPUs would do"
    )


def _step_line(cost: dict[str, Any]) -> str:
    """Return what a step moves by link, the time that takes, and what bounds the step."""
    step, moved = cost["step"], cost["traffic_bytes"]
    links = [
        f"{word} {_gigabytes(moved[key])} in {step[key]:.2g} s"
        for key, word in (("nvlink", "NVLink"), ("network", "network"))
        if moved[key]
    ]
    bound = {"compute": "compute", "nvlink": "NVLink", "network": "the network"}[step["bound"]]
    enough = step["compute_bound_windows"]
    from_when = (
        f"compute bounds it from micro-batches of {_count(enough, 'window')} on"
        if enough
        else "links bound it with any micro-batch"
    )
    return (
        f"step: {step['seconds']:.2g} s a GPU on paper, bound by {bound} ({step['compute']:.2g} s)"
        + (f"; {from_when}; moved beside it: {', '.join(links)}" if links else "")
        + (f"; waited for: rows {step['rows']:.2g} s" if step["rows"] else "")
    )


def _weights_line(plan: Plan) -> str:
    """Return whether final weights stay, and what decided it."""
    largest = max(weight_bytes(run) for run in plan.runs)
    asked = plan.scale.launch.keep_weights
    size, limit = _gigabytes(largest), _gigabytes(MAX_KEPT_BYTES)
    if asked is not None:
        why = f"launch.keep_weights: {asked}"
    elif largest <= MAX_KEPT_BYTES:
        why = f"up to {limit} a run; launch.keep_weights: none drops them"
    else:
        why = f"more than {limit} a run; launch.keep_weights: final keeps them"
    if keeps_weights(plan):
        return f"weights: {size} a run kept, {_gigabytes(kept_bytes(plan))} in all ({why})"
    return f"weights: {size} a run, not kept ({why})"


def print_ledger(run: PlannedRun, placement: Placement) -> None:
    """One line per component of one model: parameters, FLOPs, bytes."""
    rows, gpus = components(run, placement), placement.processes
    g = run.spec.geometry
    title = (
        f"ledger of {run.scale}: {run.spec.arm}, rho {run.spec.rho:.3f}, "
        f"{g.routed_experts} experts, {gpus} GPUs"
    )
    keys = ("weight_bytes", "gradient_bytes", "optimizer_bytes")
    # A name that is cut off says nothing, and every component but a few is a block's weight.
    names = [row["component"].removeprefix("blocks.*.").removesuffix(".weight") for row in rows]
    per_gpu = [sum(row[f"{key}_per_gpu"] for key in keys) for row in rows]

    def counts(key: str) -> list[str]:
        return [f"{row[key]:,}" for row in rows]

    def sizes(key: str) -> list[str]:
        return [_gigabytes(row[key]) for row in rows]

    columns = (
        Column("component", names, right=False),
        Column("part", [row["part"] for row in rows], rank=3, right=False),
        Column("tensors", counts("tensors"), rank=8),
        Column("parameters", counts("params")),
        Column("activated", counts("activated"), rank=1),
        Column("FLOPs forward", counts("flops_forward"), rank=2),
        Column("FLOPs backward", counts("flops_backward"), rank=7),
        Column("weights", sizes(keys[0]), rank=4),
        Column("gradients", sizes(keys[1]), rank=6),
        Column("optimizer", sizes(keys[2]), rank=5),
        Column("per GPU", list(map(_gigabytes, per_gpu))),
    )
    print_table(console(), title, columns)
    ledger = run.allocation.ledger
    console().print(
        f"P_tot {ledger.params_total:,}, P_act {ledger.params_active:,} "
        "(without embedding and head), "
        f"{ledger.flops_per_token:,} FLOPs per trained token",
        highlight=False,
    )


def _held_line(plan: Plan) -> str:
    """Return how far the curve is off rho = 1; what the sweep does not hold is said to be so."""
    held, sweep = plan.held(), plan.scale.sweep
    free = "rows_per_head is given, so P_tot is not held" if sweep.rows_per_head else ""
    loose = "iso: paper does not hold P_act and FLOPs" if "paper" in sweep.iso else ""
    notes = "; ".join(note for note in (free, loose) if note)
    return (
        f"off rho = 1 by at most: P_tot {held['params_total']:.1e}, P_act "
        f"{held['params_active']:.1e}, FLOPs/token {held['flops_per_token']:.1e}"
        f" ({notes or 'iso: strict'})"
    )


def _hours(hours: float) -> str:
    return f"{hours:,.0f}" if hours >= 10 else f"{hours:.2g}"


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'s'[: number != 1]}"


def _gigabytes(size: float) -> str:
    return f"{size / 1e9:,.1f} GB" if size >= 1e8 else f"{size / 1e6:,.1f} MB"


def _duration(hours: float) -> str:
    return f"{hours / 24:,.1f} days" if hours >= 48 else f"{hours:,.1f} hours"
