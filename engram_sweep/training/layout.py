"""The processes of one run: where this one stands, which share a copy, over what they talk."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

import torch
import torch.distributed as dist
from lightning.fabric.plugins.environments.cluster_environment import ClusterEnvironment
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.fabric.plugins.environments.slurm import SLURMEnvironment
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh

from engram_sweep.placement import Placement

TIMEOUT = timedelta(minutes=10)
"""A process that has not come to a collective for so long ends the run: it hangs.

One that died is noticed at once on CPUs; under SLURM its job ends. A checkpoint is written within.
"""
BACKEND = "cpu:gloo,cuda:nccl"
"""Collectives of host tensors go over gloo, of a GPU's over NCCL."""


@dataclass(frozen=True)
class Place:
    """Where this process stands in its run: `devices` processes on each of `nodes` nodes."""

    nodes: int = 1
    devices: int = 1
    rank: int = 0
    slurm: bool = False
    """Whether srun started it."""

    @property
    def ranks(self) -> int:
        """Processes of the run."""
        return self.nodes * self.devices

    def environment(self) -> ClusterEnvironment:
        """Lightning's; named, because inside SLURM Lightning would take any process for srun's."""
        return SLURMEnvironment(auto_requeue=False) if self.slurm else LightningEnvironment()


@dataclass(frozen=True)
class Layout:
    """How a run of several processes lies on them. `join` makes one."""

    placement: Placement
    device: torch.device
    """Of this process."""
    shards: DeviceMesh
    """("shard",), or ("replicate", "shard"): copies of the weights, and the cuts of each."""
    everyone: DeviceMesh
    """All processes in one row: n-gram tables are cut over them."""
    hosts: DeviceMesh
    """The same for tensors in host memory."""
    plans: dist.ProcessGroup
    """All processes over gloo, for look-ups that are planned while training goes on."""
    saves: dist.ProcessGroup
    """The same for checkpoints that are written meanwhile: what two threads say must not cross."""

    @property
    def rank(self) -> int:
        """Number of this process among all."""
        return self.everyone.get_local_rank()

    @property
    def ranks(self) -> int:
        """Processes of the run."""
        return self.everyone.size()


def join(place: Place, placement: Placement) -> Layout:
    """Meet the other processes of the run; each of them calls it once.

    Args:
        place: of this process.
        placement: replicas x shards are the processes of the run. Shards of a copy are neighbours
            in rank, so those of a node if they divide its devices.
    """
    environment = place.environment()
    kind, device = "cpu", torch.device("cpu")
    if torch.cuda.is_available():
        kind, device = "cuda", torch.device("cuda", environment.local_rank())
        torch.cuda.set_device(device)
    if not dist.is_initialized():
        # Lightning would do the same later, with a time limit of half an hour.
        dist.init_process_group(
            BACKEND if kind == "cuda" else "gloo",
            init_method=f"tcp://{environment.main_address}:{environment.main_port}",
            rank=place.rank,
            world_size=place.ranks,
            timeout=TIMEOUT,
        )
    sizes = {"replicate": placement.replicas, "shard": placement.shards}
    if placement.replicas == 1:
        del sizes["replicate"]
    everyone = init_device_mesh(kind, (place.ranks,), mesh_dim_names=("all",))
    return Layout(
        placement=placement,
        device=device,
        shards=init_device_mesh(kind, tuple(sizes.values()), mesh_dim_names=tuple(sizes)),
        everyone=everyone,
        hosts=(
            everyone
            if kind == "cpu"
            else init_device_mesh("cpu", (place.ranks,), mesh_dim_names=("all",))
        ),
        plans=_gloo_group(),
        saves=_gloo_group(),
    )


def _gloo_group() -> dist.ProcessGroup:
    """Return a group of all processes that nothing else talks over."""
    group = dist.new_group(backend="gloo", timeout=TIMEOUT)
    assert isinstance(group, dist.ProcessGroup)
    return group


def leave() -> None:
    """Part from the other processes of the run, if there are any; all have no more to say."""
    if dist.is_initialized():
        dist.barrier()
        dist.destroy_process_group()


def owned(rows: int, rank: int, ranks: int) -> tuple[int, int]:
    """Return the first row of a rank and the one behind its last.

    As `torch.distributed.tensor.Shard(0)` cuts: equal chunks, the last ones shorter or empty.

    Example:
        `owned(9, 1, 4)` is (3, 6), `owned(9, 3, 4)` is (9, 9).
    """
    chunk = -(-rows // ranks)
    return min(rows, rank * chunk), min(rows, (rank + 1) * chunk)
