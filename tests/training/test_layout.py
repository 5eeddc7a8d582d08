from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from lightning.fabric.plugins.environments.lightning import LightningEnvironment

from engram_sweep.placement import Placement
from engram_sweep.training.layout import Place, join, owned
from tests.training.ranks import on_ranks


@given(rows=st.integers(0, 40), ranks=st.integers(1, 9))
def test_rows_have_one_owner_each_in_chunks_as_torch_cuts_them(rows: int, ranks: int) -> None:
    cuts = [owned(rows, rank, ranks) for rank in range(ranks)]
    assert [row for first, last in cuts for row in range(first, last)] == list(range(rows))
    chunks = [len(chunk) for chunk in torch.arange(rows).chunk(ranks)] if rows else []
    assert [last - first for first, last in cuts if last > first] == chunks


def test_a_place_says_how_many_there_are() -> None:
    assert isinstance(Place().environment(), LightningEnvironment)
    assert Place(nodes=2, devices=3).ranks == 6


def described(place: Place, placement: Placement) -> tuple[int, int, list[int], tuple[str, ...]]:
    layout = join(place, placement)
    names = layout.shards.mesh_dim_names or ()
    return layout.rank, layout.ranks, list(layout.shards.get_coordinate() or []), names


@pytest.mark.xdist_group("ranks")
def test_neighbours_in_rank_share_a_copy() -> None:
    assert on_ranks(4, described, Placement(2, 2)) == [
        (rank, 4, [rank // 2, rank % 2], ("replicate", "shard")) for rank in range(4)
    ]
    assert on_ranks(2, described, Placement(1, 2)) == [
        (rank, 2, [rank], ("shard",)) for rank in range(2)
    ]
