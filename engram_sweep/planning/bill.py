"""What a run costs on each of its GPUs: mesh, memory, traffic, and what bounds a step."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from engram_sweep.config.slurm import Shape
from engram_sweep.placement import Placement
from engram_sweep.planning.gpus import Gpu
from engram_sweep.planning.memory import MemoryBytes, host_bytes, windows_of_process
from engram_sweep.planning.placement import (
    best_placement,
    check_micro_windows,
    fits,
    least_placement,
    mesh_of,
    needs,
    room,
    shapes_of,
    smallest_mesh,
)
from engram_sweep.planning.plan import Plan
from engram_sweep.planning.step_time import StepTime, step_time
from engram_sweep.planning.traffic import StepTraffic, step_traffic


@dataclass(frozen=True)
class Bill:
    """A sweep on the GPUs of one run: the run that needs most, link by link and byte by byte."""

    shape: Shape
    placement: Placement
    """What a launch trains under; if nothing fits, what needs least."""
    fits: bool
    memory: MemoryBytes
    """Per GPU, of the run that needs most."""
    room: float
    """Bytes of a GPU that are planned into."""
    host_bytes: int
    """Rows of tables and their states in the memory of a host, per process."""
    micro_batches: int
    traffic: StepTraffic
    """Of the run whose step is longest."""
    time: StepTime
    smallest: tuple[Shape, Placement] | None
    """The smallest mesh that would hold the sweep, if this one does not."""

    def row(self) -> dict[str, Any]:
        """Return it as plain data, bytes and seconds of one GPU in one step.

        Returns:
            mesh (nodes, gpus_per_node, replicas, shards), placement, micro_batches, fits,
            room_bytes, memory (with total), host_bytes, traffic_bytes by link, step (seconds, by
            what takes them; bound; compute_bound_windows), and smallest_mesh (gpus, shards), None
            if it fits or none would do.
        """
        smallest = None
        if self.smallest is not None:
            shape, placement = self.smallest
            smallest = {"gpus": shape.processes, "shards": placement.shards}
        return {
            "mesh": {
                "nodes": self.shape.nodes,
                "gpus_per_node": self.shape.devices,
                "replicas": self.placement.replicas,
                "shards": self.placement.shards,
            },
            "placement": asdict(self.placement),
            "micro_batches": self.micro_batches,
            "fits": self.fits,
            "room_bytes": self.room,
            "memory": {**asdict(self.memory), "total": self.memory.total},
            "host_bytes": self.host_bytes,
            "traffic_bytes": asdict(self.traffic.total),
            "step": {
                **asdict(self.time),
                "seconds": self.time.seconds,
                "bound": self.time.bound,
            },
            "smallest_mesh": smallest,
        }


def bill_of(plan: Plan, occupied: Shape, gpu: Gpu, mfu: float) -> Bill:
    """Return what a plan takes on the GPUs of one run.

    Args:
        plan: the sweep.
        occupied: nodes and processes of one run.
        gpu: their kind.
        mfu: sustained share of the peak.

    Raises:
        UserError: the mesh or the micro-batches that the scale asks for cannot be.
    """
    mesh = mesh_of(plan.scale.launch, occupied)
    check_micro_windows(plan, mesh)
    found = best_placement(plan, mesh, occupied, gpu, mfu)
    placement = found or least_placement(plan, mesh)
    runs = shapes_of(plan)
    slowest = max(runs, key=lambda run: step_time(run, placement, occupied, gpu, mfu).seconds)
    windows = windows_of_process(slowest, placement)
    return Bill(
        shape=occupied,
        placement=placement,
        fits=found is not None and fits(plan, placement, gpu),
        memory=needs(plan, placement),
        room=room(gpu),
        host_bytes=max(host_bytes(run, placement) for run in runs),
        micro_batches=windows // (placement.micro_windows or windows),
        traffic=step_traffic(slowest, placement, occupied),
        time=step_time(slowest, placement, occupied, gpu, mfu),
        smallest=smallest_mesh(plan, occupied, gpu) if found is None else None,
    )


def too_large(cost: dict[str, Any]) -> str:
    """Return that a run does not fit into its GPUs, in words, and the smallest mesh that would do.

    Args:
        cost: `engram_sweep.planning.cost.cost` of the plan.
    """
    mesh, smallest = cost["mesh"], cost["smallest_mesh"]
    hint = "no mesh of these GPUs would do"
    if smallest is not None:
        hint = (
            f"the smallest mesh that would do is launch.gpus: {smallest['gpus']} with "
            f"launch.shard: {smallest['shards']}"
        )
    return (
        f"expected runs that fit into {cost['room_bytes'] / 1e9:.0f} of the "
        f"{cost['gpu_memory_bytes'] / 1e9:.0f} GB of one {cost['gpu_name']}, the largest takes "
        f"{cost['memory']['total'] / 1e9:.0f} GB on {mesh['replicas']} x {mesh['shards']} of them; "
        f"{hint}"
    )
