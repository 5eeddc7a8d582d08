"""Muon over matrices whose rows lie in several processes equals Muon over whole ones."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.distributed.tensor import Shard, distribute_tensor

from engram_sweep.placement import Placement
from engram_sweep.training import muon
from engram_sweep.training.layout import Place, join
from engram_sweep.training.muon import Muon
from engram_sweep.training.sharded_muon import ShardedMuon
from tests.training.ranks import on_ranks
from tests.training.ranks import whole as whole_of

pytestmark = pytest.mark.xdist_group("ranks")

SHAPES = [(16, 16), (7, 16), (16, 40), (3, 16), (1, 16), (9, 24), (5, 16, 16), (3, 8, 16)]
BLOCKS = [1, 1, 1, 1, 1, 3, 2, 1]
STEPS = 3


def tensors(seed: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(shape, generator=generator) for shape in SHAPES]


def groups(parameters: list[nn.Parameter]) -> list[dict]:
    return [{"params": [p], "blocks": n} for p, n in zip(parameters, BLOCKS, strict=True)]


def whole() -> list[Tensor]:
    parameters = [nn.Parameter(tensor) for tensor in tensors(0)]
    optimizer = Muon(groups(parameters), lr=0.1)
    for step in range(STEPS):
        for p, gradient in zip(parameters, tensors(step + 1), strict=True):
            p.grad = gradient
        optimizer.step()
    return [p.detach() for p in parameters]


def cut(place: Place, placement: Placement, most: int) -> tuple[list[Tensor], list[int]]:
    muon.MAX_BATCHED_CPU = most  # many rounds, or one
    mesh = join(place, placement).shards["shard"]
    parameters = [nn.Parameter(distribute_tensor(t, mesh, [Shard(0)])) for t in tensors(0)]
    optimizer = ShardedMuon(groups(parameters), lr=0.1)
    for step in range(STEPS):
        for p, gradient in zip(parameters, tensors(step + 1), strict=True):
            p.grad = distribute_tensor(gradient, mesh, [Shard(0)])
        optimizer.step()
    held = [optimizer.state[p]["momentum"].to_local().numel() for p in parameters]
    return [whole_of(p) for p in parameters], held


@pytest.mark.parametrize(
    ("placement", "most"),
    [(Placement(shards=2), 1 << 17), (Placement(shards=4), 100), (Placement(2, 2), 1 << 17)],
)
def test_cut_matrices_step_as_whole_ones(placement: Placement, most: int) -> None:
    wanted = whole()
    every = on_ranks(placement.processes, cut, placement, most)
    for got, _ in every:
        for shape, tensor, expected in zip(SHAPES, got, wanted, strict=True):
            torch.testing.assert_close(tensor, expected, rtol=1e-5, atol=1e-6, msg=str(shape))
    held = sum(sum(each) for _, each in every) / placement.replicas
    assert held == sum(tensor.numel() for tensor in wanted), "momentum lies in one process each"
