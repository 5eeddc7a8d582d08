"""How the runs of a sweep lie on their GPUs: mesh, micro-batches, what is computed again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from engram_sweep.config.launch import Launch
from engram_sweep.config.scale import Scale
from engram_sweep.config.slurm import Shape, merged, read_user_file, shape
from engram_sweep.errors import UserError
from engram_sweep.placement import Placement
from engram_sweep.planning.gpus import GPUS, RESERVED, Gpu
from engram_sweep.planning.memory import MemoryBytes, memory_bytes
from engram_sweep.planning.plan import Plan, PlannedRun
from engram_sweep.planning.step_time import step_time

LOSS_CHUNK = 2048
"""Tokens whose logits exist at once on a GPU: with 128 k ids they are 5 GB at their widest."""
MAX_NODES = 512
"""Meshes of more nodes are not looked at."""


def shape_of(scale: Scale) -> Shape:
    """Return the nodes and processes of one run, by the scale and the user's cluster file.

    Raises:
        UserError: the file is wrong, or GPUs and windows do not divide evenly.
    """
    gpus = scale.launch.gpus if scale.launch.gpu else 0
    slurm = merged(scale.launch.slurm, read_user_file())
    return shape(slurm, gpus, scale.training.batch_windows)


def place(plan: Plan, occupied: Shape) -> Placement | None:
    """Return how every run of a plan lies on its processes; None if none of them fits.

    One placement for all of them, which the one that needs most memory fits: micro-batches that
    differ along rho would differ in the order of their sums. A sweep without GPUs takes what its
    scale says, and all of a step at once if it says nothing.

    Args:
        plan: the whole sweep.
        occupied: nodes and processes of one run.

    Raises:
        UserError: the processes cannot be cut as asked, or micro-batches do not divide a step.
    """
    launch = plan.scale.launch
    mesh = mesh_of(launch, occupied)
    check_micro_windows(plan, mesh)
    if launch.gpu is None:
        return replace(
            mesh,
            micro_windows=launch.micro_windows or 0,
            recompute=bool(launch.recompute),
            loss_chunk=launch.loss_chunk or 0,
        )
    return best_placement(plan, mesh, occupied, GPUS[launch.gpu], launch.mfu)


def mesh_of(launch: Launch, occupied: Shape) -> Placement:
    """Return the mesh of one run: copies of the weights, and the processes that each is cut over.

    Raises:
        UserError: `launch.shard` does not divide the processes.

    Example:
        `shard: node` on four nodes of eight GPUs is four replicas of eight shards.
    """
    processes = occupied.processes
    shards = {"node": occupied.devices, "all": processes}.get(str(launch.shard), launch.shard)
    if not isinstance(shards, int) or processes % shards:
        raise UserError(
            f"launch.shard: expected node, all or a divisor of the {processes} processes of a run "
            f"({occupied.nodes} x {occupied.devices}), got {launch.shard}"
        )
    return Placement(replicas=processes // shards, shards=shards, tables=launch.tables)


def check_micro_windows(plan: Plan, mesh: Placement) -> None:
    """Refuse micro-batches that do not divide the windows of a process.

    Raises:
        UserError: they do not.
    """
    launch, windows = plan.scale.launch, plan.scale.training.batch_windows // mesh.processes
    if launch.micro_windows and windows % launch.micro_windows:
        raise UserError(
            f"{plan.scale.name}: launch.micro_windows: expected a divisor of the {windows} windows "
            f"that each of {mesh.processes} processes has of a step, got {launch.micro_windows}"
        )


def largest_run(plan: Plan, placement: Placement) -> PlannedRun:
    """Return the run that needs most memory: it decides whether a sweep fits."""
    return max(shapes_of(plan), key=lambda run: memory_bytes(run, placement).total)


def shapes_of(plan: Plan) -> list[PlannedRun]:
    """Return one run of each geometry: seeds do not matter here."""
    return list({(run.spec.geometry, run.spec.training): run for run in plan.runs}.values())


def best_placement(
    plan: Plan, mesh: Placement, occupied: Shape, gpu: Gpu, mfu: float
) -> Placement | None:
    """Return the placement on a mesh that is likely to be fastest; None if none fits.

    First what computes longer than any link takes, so that no gather is waited for; of that, what
    computes nothing twice; of that, what has the fewest micro-batches.
    """

    def rank(choice: Placement) -> tuple[bool, bool, int]:
        times = [step_time(run, choice, occupied, gpu, mfu) for run in shapes_of(plan)]
        waits = any(time.bound != "compute" for time in times)
        return waits, choice.recompute, -choice.micro_windows

    fitting = [choice for choice in _choices(plan, mesh) if fits(plan, choice, gpu)]
    return min(fitting, key=rank, default=None)


def _choices(plan: Plan, mesh: Placement) -> Iterator[Placement]:
    """Yield what a mesh may do, fewest micro-batches first."""
    launch, windows = plan.scale.launch, plan.scale.training.batch_windows // mesh.processes
    sizes = [size for size in range(windows, 0, -1) if windows % size == 0]
    recomputes, chunk = [False, True], launch.loss_chunk or LOSS_CHUNK
    if launch.micro_windows:
        sizes = [launch.micro_windows]
    if launch.recompute is not None:
        recomputes = [launch.recompute]
    for size in sizes:
        for recompute in recomputes:
            yield replace(mesh, micro_windows=size, recompute=recompute, loss_chunk=chunk)


def fits(plan: Plan, placement: Placement, gpu: Gpu) -> bool:
    """Return whether every run of a plan fits, with what is reserved."""
    return needs(plan, placement).total <= room(gpu)


def needs(plan: Plan, placement: Placement) -> MemoryBytes:
    """Return the bytes per GPU of the run that needs most."""
    return memory_bytes(largest_run(plan, placement), placement)


def room(gpu: Gpu) -> float:
    """Return the bytes of a GPU that are planned into."""
    return (1 - RESERVED) * gpu.memory_bytes


def least_placement(plan: Plan, mesh: Placement) -> Placement:
    """Return what takes the least memory on a mesh: the smallest micro-batches."""
    smallest = min(choice.micro_windows for choice in _choices(plan, mesh))
    choices = [choice for choice in _choices(plan, mesh) if choice.micro_windows == smallest]
    return min(choices, key=lambda choice: needs(plan, choice).total)


def smallest_mesh(plan: Plan, occupied: Shape, gpu: Gpu) -> tuple[Shape, Placement] | None:
    """Return the fewest GPUs that hold the runs of a plan, cut over as few of them as do.

    Args:
        plan: the sweep.
        occupied: nodes and processes of one run today; meshes have nodes of as many, or fewer on
            one node.
        gpu: their kind.

    Returns:
        Nodes and placement; None if no mesh would do.
    """
    windows, in_node = plan.scale.training.batch_windows, max(occupied.devices, 1)
    sizes = [Shape(1, devices, devices) for devices in range(1, in_node)]
    sizes += [Shape(nodes, in_node, in_node) for nodes in range(1, MAX_NODES + 1)]
    for candidate in sizes:
        if windows % candidate.processes:
            continue
        for shards in _divisors(candidate.processes):
            mesh = Placement(candidate.processes // shards, shards, tables=plan.scale.launch.tables)
            found = least_placement(plan, mesh)
            if fits(plan, found, gpu):
                return candidate, found
    return None


def _divisors(number: int) -> list[int]:
    return [each for each in range(1, number + 1) if number % each == 0]
