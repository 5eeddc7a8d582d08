"""CPU seconds of one training step over two gloo processes: cut weights against data parallelism.

    .venv/bin/python -m benchmarks.sharded_step

The same MoE model, of a size that fits both, under `DistributedDataParallel` (whole weights in each
process), cut over both (FSDP2), and as two replicas (the same code, nothing gathered). They are
timed in turn, step by step, in the same two processes; figures are medians, of the slower process,
of its CPU time: messages over gloo are copies by its own threads. On an idle machine wall time says
the same. NVLink and NCCL move more in less time, and beside the arithmetic.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import socket
import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
import torch.distributed as dist
from torch import Tensor
from torch.multiprocessing.spawn import spawn
from torch.nn.parallel import DistributedDataParallel

from engram_sweep.config.scale import load_scale
from engram_sweep.placement import Placement
from engram_sweep.planning.plan import make_plan
from engram_sweep.spec import RunSpec
from engram_sweep.training.assembly import assemble
from engram_sweep.training.clipping import clip_
from engram_sweep.training.layout import Place, join, leave
from engram_sweep.training.micro_batches import accumulate
from engram_sweep.training.optimizers import make_optimizers

RANKS = 2
Step = Callable[[Tensor], None]


def data_parallel(spec: RunSpec) -> Step:
    """One step under torch's own data parallelism, which averages gradients."""
    model, _, _ = assemble(spec, None, Placement(), None)
    model.train()
    optimizers = make_optimizers(model, spec.training)
    wrapped = DistributedDataParallel(model)

    def step(windows: Tensor) -> None:
        for optimizer in optimizers:
            optimizer.zero_grad(set_to_none=True)
        wrapped(windows[:, :-1], [], windows[:, 1:]).mean().backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), spec.training.clip_norm)
        for optimizer in optimizers:
            optimizer.step()

    return step


def on_mesh(spec: RunSpec, place: Place, placement: Placement) -> Step:
    """One step of the project's own."""
    model, _, lookups = assemble(spec, None, placement, join(place, placement))
    model.train()
    optimizers = make_optimizers(model, spec.training)

    def step(windows: Tensor) -> None:
        for optimizer in optimizers:
            optimizer.zero_grad(set_to_none=True)
        accumulate(model, windows, lookups, Tensor.backward, ranks=RANKS)
        clip_(model.parameters(), spec.training.clip_norm, placement.replicas)
        for optimizer in optimizers:
            optimizer.step()

    return step


def work(rank: int, port: int, spec: RunSpec, steps: int, medians: dict[str, float]) -> None:
    os.environ |= {
        "LOCAL_RANK": str(rank),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "CUDA_VISIBLE_DEVICES": "",
    }
    torch.set_num_threads(1)
    place = Place(1, RANKS, rank)
    cut = on_mesh(spec, place, Placement(shards=RANKS))
    ways = {
        "data parallel": data_parallel(spec),
        "two replicas": on_mesh(spec, place, Placement(replicas=RANKS)),
        "cut over both": cut,
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    t, generator = spec.training, torch.Generator().manual_seed(rank)
    shape = (t.batch_windows // RANKS, t.window + 1)
    for index in range(steps + 2):
        windows = torch.randint(0, spec.geometry.vocab_size, shape, generator=generator)
        for name, step in ways.items():
            dist.barrier()
            began = time.process_time()
            step(windows)
            if index >= 2:
                seconds[name].append(time.process_time() - began)
    for name, times in seconds.items():
        slowest = torch.tensor(statistics.median(times), dtype=torch.float64)
        dist.all_reduce(slowest, dist.ReduceOp.MAX)
        if rank == 0:
            medians[name] = float(slowest)
    leave()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=15)
    parser.add_argument("--width", type=int, default=256)
    parser.add_argument("--experts", type=int, default=16)
    parser.add_argument("--sweeps", type=Path, default=Path("sweeps"))
    options = parser.parse_args()
    plan = make_plan(load_scale("tiny", options.sweeps))
    spec = next(run.spec for run in plan.runs if run.allocation.rho_asked == 1.0)
    # Wide enough that arithmetic counts: at tiny's own width of 48 a step is Python and messages.
    width = options.width
    geometry = replace(
        spec.geometry,
        d_model=width,
        n_heads=width // 32,
        n_kv_heads=width // 32,
        head_dim=32,
        mla=None,
        expert_width=width // 2,
        routed_experts=options.experts,
        shared_width=(width,) * spec.geometry.n_layers,
    )
    training = replace(spec.training, optimizer="adamw")
    spec = replace(spec, geometry=geometry, training=training)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with multiprocessing.Manager() as manager:
        medians = manager.dict()
        spawn(work, (port, spec, options.steps, medians), RANKS)
        found = dict(medians)
    base = found["data parallel"]
    for name, seconds in found.items():
        times = seconds / base
        print(f"{name:16s} {1e3 * seconds:8.1f} ms of CPU a step, {times:.3f} x data parallel")


if __name__ == "__main__":
    main()
