"""Bytes that each GPU of a run receives in one optimizer step, by link, and how long that takes.

Blocks are gathered for the forward pass and again for the backward one, in every micro-batch, and
their gradients are summed and cut; copies add up their gradients once a step. N-gram rows travel to
whoever asks and back, once a step too.
"""

from __future__ import annotations

from dataclasses import dataclass

from engram_sweep.config.slurm import Shape
from engram_sweep.placement import Placement
from engram_sweep.planning.activations import BYTES
from engram_sweep.planning.gpus import SUSTAINED, Gpu
from engram_sweep.planning.kept_weights import WEIGHT_BYTES
from engram_sweep.planning.ledger import Entry
from engram_sweep.planning.memory import (
    GRADIENT_BYTES,
    largest_part,
    micro_windows,
    rows_per_process,
    windows_of_process,
)
from engram_sweep.planning.optimizers import OPTIMIZERS, is_matrix
from engram_sweep.planning.plan import PlannedRun

GATHERS = 2
"""Of a block in each micro-batch: for the forward and for the backward pass."""
ID_BYTES = 8


@dataclass(frozen=True)
class Traffic:
    """Bytes that one GPU receives in a step, by link; it sends as many."""

    nvlink: float = 0.0
    """From GPUs of its own node."""
    network: float = 0.0
    """From other nodes."""
    host: float = 0.0
    """From the memory of its host, and back."""

    def __add__(self, other: Traffic) -> Traffic:
        """Return both."""
        return Traffic(
            self.nvlink + other.nvlink, self.network + other.network, self.host + other.host
        )

    def times(self, count: float) -> Traffic:
        """Return it so many times."""
        return Traffic(self.nvlink * count, self.network * count, self.host * count)

    def seconds(self, gpu: Gpu) -> dict[str, float]:
        """Return how long each link takes, at the share of its bandwidth that it sustains."""
        return {
            "nvlink": self.nvlink / (SUSTAINED * gpu.nvlink),
            "network": self.network / (SUSTAINED * gpu.network),
            "host": self.host / (SUSTAINED * gpu.host),
        }


@dataclass(frozen=True)
class StepTraffic:
    """What travels in one step, by what waits for it."""

    micro_batches: int
    per_micro_batch: Traffic
    """Gathers and gradients of all blocks; they travel while other blocks are at work."""
    gradients: Traffic
    """The sum over copies of the weights, once a step."""
    rows: Traffic
    """N-gram rows and their gradients, once a step; the forward pass waits for the rows."""
    matrices: Traffic
    """Dense matrices that Muon puts together on one owner and sends back."""

    @property
    def total(self) -> Traffic:
        """All of a step."""
        blocks = self.per_micro_batch.times(self.micro_batches)
        return blocks + self.gradients + self.rows + self.matrices


def step_traffic(run: PlannedRun, placement: Placement, shape: Shape) -> StepTraffic:
    """Return what each GPU of a run receives in one step.

    Args:
        run: what trains.
        placement: how it lies on its processes.
        shape: their nodes.
    """
    entries = [e for e in run.allocation.ledger.entries if e.shape and e.part != "table"]

    def numbers(*parts: str) -> int:
        """Sum what travels of tensors: parts of equal size, the last ones filled up."""
        own = [e for e in entries if _place(e) in parts]
        return sum(largest_part(entry, placement.shards) * placement.shards for entry in own)

    routed, dense, root = numbers("routed"), numbers("dense"), numbers("root")
    a = BYTES[run.spec.training.precision]
    # Embedding and head stay whole between the two passes.
    gathered = GATHERS * (a * routed + WEIGHT_BYTES * dense) + WEIGHT_BYTES * root
    summed = GRADIENT_BYTES * (routed + dense + root)
    shards, in_node = placement.shards, shape.devices
    micro = collective(gathered + summed, shards, in_node)
    # Copies lie on the same place of their nodes, or of a node if it holds several.
    apart = max(1, in_node // shards)
    own = summed / shards
    copies = collective(2 * own, placement.replicas, apart)
    matrices = 0
    if OPTIMIZERS[run.spec.training.optimizer].matrix_bytes is not None:
        matrices = sum(e.count for e in entries if is_matrix(e) and e.part != "routed")
    return StepTraffic(
        micro_batches=-(-windows_of_process(run, placement) // micro_windows(run, placement)),
        per_micro_batch=micro,
        gradients=copies,
        rows=_rows(run, placement, in_node),
        matrices=collective(2 * WEIGHT_BYTES * matrices / shards, shards, in_node),
    )


def _place(entry: Entry) -> str:
    """Return how a tensor is gathered: `routed`, `dense` of a block, or `root` outside of all."""
    if not entry.name.startswith("blocks."):
        return "root"
    return "routed" if entry.part == "routed" else "dense"


def collective(size: float, processes: int, in_node: int) -> Traffic:
    """Return what a GPU receives when `processes` GPUs gather, or sum and cut, `size` bytes.

    Rings through all adapters of a node: each GPU gets the part of the others over NVLink, of which
    what lies in other nodes comes in once per node, shared by the adapters of its GPUs.

    Args:
        size: bytes of the whole.
        processes: GPUs that take part.
        in_node: how many of them, at most, lie in one node.
    """
    if processes == 1:
        return Traffic()
    here = min(processes, in_node)
    nodes = -(-processes // here)
    return Traffic(
        nvlink=size * (processes - 1) / processes if here > 1 else 0.0,
        network=size * (nodes - 1) / nodes / here,
    )


def _rows(run: PlannedRun, placement: Placement, in_node: int) -> Traffic:
    """Return ids, rows and gradients that a GPU receives, were no row asked for twice."""
    memory = run.spec.geometry.memory
    if memory is None:
        return Traffic()
    size = rows_per_process(run, placement) * (ID_BYTES + 2 * WEIGHT_BYTES * memory.head_dim)
    all_processes = placement.processes
    here = min(all_processes, in_node)
    return Traffic(
        nvlink=size * (here - 1) / all_processes,
        network=size * (all_processes - here) / all_processes,
        host=size if placement.tables == "host" else 0.0,
    )
