"""How long one optimizer step takes on paper, and what bounds it."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

from engram_sweep.config.slurm import Shape
from engram_sweep.placement import Placement
from engram_sweep.planning.gpus import Gpu
from engram_sweep.planning.memory import windows_of_process
from engram_sweep.planning.plan import PlannedRun
from engram_sweep.planning.traffic import StepTraffic, step_traffic


@dataclass(frozen=True)
class StepTime:
    """Seconds of one step, by who works; links work while the GPU does, but for the rows."""

    compute: float
    """At the share of the peak that the price assumes."""
    nvlink: float
    network: float
    rows: float
    """Rows of the n-gram tables and their gradients, which the step waits for."""
    compute_bound_windows: int
    """Fewest windows of a micro-batch with which no link takes longer than the compute."""

    @property
    def bound(self) -> str:
        """What takes longest: `compute`, `nvlink` or `network`."""
        return max(("compute", "nvlink", "network"), key=lambda name: getattr(self, name))

    @property
    def seconds(self) -> float:
        """The step: the longest of them, and the rows."""
        return getattr(self, self.bound) + self.rows


def step_time(
    run: PlannedRun, placement: Placement, shape: Shape, gpu: Gpu, mfu: float
) -> StepTime:
    """Return how long one step of a run takes.

    Args:
        run: what trains.
        placement: how it lies on its GPUs.
        shape: their nodes.
        gpu: their kind.
        mfu: share of the dense bf16 peak that is sustained, of all FLOPs that the ledger counts.
    """
    tokens = windows_of_process(run, placement) * run.spec.training.window
    compute = tokens * run.allocation.ledger.flops_per_token / (gpu.peak_flops * mfu)
    traffic = step_traffic(run, placement, shape)
    links = (traffic.total.seconds(gpu), traffic.rows.seconds(gpu))
    nvlink, network = (links[0][name] - links[1][name] for name in ("nvlink", "network"))
    return StepTime(
        compute=compute,
        nvlink=nvlink,
        network=network,
        rows=max(links[1].values()),
        compute_bound_windows=_compute_bound_windows(run, placement, compute, traffic, gpu),
    )


def _compute_bound_windows(
    run: PlannedRun, placement: Placement, compute: float, traffic: StepTraffic, gpu: Gpu
) -> int:
    """Return the fewest windows of a micro-batch with which compute takes longest."""
    windows = windows_of_process(run, placement)
    fixed = (traffic.gradients + traffic.matrices).seconds(gpu)
    for micro in range(1, windows + 1):
        count = ceil(windows / micro)
        links = traffic.per_micro_batch.times(count).seconds(gpu)
        if all(links[name] + fixed[name] <= compute for name in ("nvlink", "network")):
            return micro
    return 0
