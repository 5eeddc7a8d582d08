from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.distributed.tensor import Shard, distribute_tensor

from engram_sweep.placement import Placement
from engram_sweep.training.clipping import clip_
from engram_sweep.training.cuts import local
from engram_sweep.training.layout import Place, join
from tests.training.ranks import on_ranks

SHAPES = [(5, 3), (1,), (2, 4, 3)]


def parameters() -> list[nn.Parameter]:
    generator = torch.Generator().manual_seed(0)
    made = [nn.Parameter(torch.zeros(shape)) for shape in SHAPES]
    for p in made:
        p.grad = torch.randn(p.shape, generator=generator)
    return made


@pytest.mark.parametrize("limit", [0.1, 1.0, 1e9])
def test_one_process_has_the_bits_of_torch(limit: float) -> None:
    ours, theirs = parameters(), parameters()
    clip_(ours, limit)
    torch.nn.utils.clip_grad_norm_(theirs, limit)
    for a, b in zip(ours, theirs, strict=True):
        assert a.grad is not None
        assert b.grad is not None
        assert torch.equal(a.grad, b.grad)


def clipped(place: Place, placement: Placement, limit: float) -> list[Tensor]:
    """Whole gradients after clipping those that lie cut over a mesh; a scalar's lies in one."""
    mesh = join(place, placement).shards["shard"]
    cut = []
    for p in parameters():
        assert p.grad is not None
        each = nn.Parameter(distribute_tensor(p.detach(), mesh, [Shard(0)]))
        each.grad = distribute_tensor(p.grad, mesh, [Shard(0)])
        cut.append(each)
    clip_(cut, limit, placement.replicas)
    assert any(not local(p.grad).numel() for p in cut) or mesh.get_local_rank() == 0
    return [p.grad.full_tensor() for p in cut]


@pytest.mark.xdist_group("ranks")
@pytest.mark.parametrize("placement", [Placement(shards=4), Placement(2, 2)])
def test_the_norm_is_that_of_the_whole(placement: Placement) -> None:
    wanted = parameters()
    torch.nn.utils.clip_grad_norm_(wanted, 0.1)
    for got in on_ranks(4, clipped, placement, 0.1):
        for tensor, p in zip(got, wanted, strict=True):
            torch.testing.assert_close(tensor, p.grad, rtol=1e-6, atol=0)
