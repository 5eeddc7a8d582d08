from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from engram_sweep.model.engram import Table
from engram_sweep.model.transformer import Transformer
from engram_sweep.placement import Placement
from engram_sweep.training.layout import Place, join, owned
from engram_sweep.training.lookups import ExchangedLookups, WholeLookups, plan
from tests.model.shapes import GEOMETRIES, build, tokens
from tests.training.ranks import on_ranks


def test_whole_tables_get_the_gradient_of_their_rows() -> None:
    model, ids = build(GEOMETRIES["engram"]), tokens(2, 6)
    lookups = WholeLookups(model)
    found = lookups.look_up(ids)
    given = [torch.randn_like(e) for e in found]
    lookups.give_back(given)
    for memory, e, gradient in zip(model.memories(), found, given, strict=True):
        rows = memory.rows(ids)
        assert torch.equal(e, memory.table.weight.detach()[rows].flatten(2))
        wanted = torch.zeros_like(memory.table.weight)
        wanted.index_add_(0, rows.flatten(), gradient.view(-1, wanted.shape[1]))
        assert memory.table.weight.grad is not None
        torch.testing.assert_close(memory.table.weight.grad.to_dense(), wanted)


ROWS = 23


def exchanged(place: Place, asked: list[list[int]]) -> tuple[Tensor, Tensor, list[int]]:
    """What a process gets of a table whose row i holds i, and the gradient that it ends with."""
    layout = join(place, Placement(shards=place.ranks))
    first, last = owned(ROWS, place.rank, place.ranks)
    table = Table(last - first, 2, 0.0)
    table.weight = nn.Parameter(torch.arange(first, last).float()[:, None].repeat(1, 2))
    lookups = ExchangedLookups(Memories(table), [ROWS], torch.device("cpu"), layout.plans)
    mine = torch.tensor(asked[place.rank], dtype=torch.int64)[None]
    for upcoming in (mine, None):  # planned at once, then ahead
        [found] = lookups.look_up(mine, upcoming)
    lookups.give_back([torch.ones_like(found)])
    assert table.weight.grad is not None
    assert table.weight.grad.is_coalesced()
    return found, table.weight.grad.to_dense(), lookups.exchanges[0].asked


class Memories(Transformer):
    """One memory whose tokens are the rows that they look up."""

    def __init__(self, table: Table) -> None:
        nn.Module.__init__(self)
        self.table, self.rows = table, Identity()

    def memories(self):  # type: ignore[override]  # it stands for its one memory
        return [self]


class Identity(nn.Module):
    def forward(self, tokens: Tensor) -> Tensor:
        return tokens[..., None]


@pytest.mark.xdist_group("ranks")
@pytest.mark.parametrize(
    "asked",
    [
        [[3, 3, 22, 0], [0, 9, 9, 9], [22, 1, 2, 3]],
        [[1, 1], [0, 1], [0, 0]],  # all of them the first process's
        [[22], [22, 22], [22]],  # the last one's only
    ],
)
def test_every_process_gets_its_rows_and_owners_get_the_sum(asked: list[list[int]]) -> None:
    every = on_ranks(3, exchanged, asked)
    counts = torch.bincount(torch.tensor([row for rows in asked for row in rows]), minlength=ROWS)
    for rank, (found, gradient, asked_of) in enumerate(every):
        assert found[0, :, 0].tolist() == asked[rank]
        first, last = owned(ROWS, rank, 3)
        assert gradient[:, 1].tolist() == counts[first:last].tolist()
        assert sum(asked_of) == len(set(asked[rank])), "each distinct row once"


@given(rows=st.lists(st.integers(0, ROWS - 1), max_size=40))
def test_a_plan_of_one_process_asks_for_each_row_once(rows: list[int]) -> None:
    exchange = plan(torch.tensor(rows, dtype=torch.int64), ROWS, None)
    wanted = exchange.unique[exchange.merged][exchange.inverse]
    assert wanted.tolist() == rows
    assert exchange.unique.tolist() == sorted(set(rows))
    assert exchange.asked == exchange.given == [len(set(rows))]


def test_a_plan_for_other_tokens_is_not_used() -> None:
    model, ids = build(GEOMETRIES["engram"]), tokens(2, 6)
    sizes = [len(table) for table in model.tables()]
    lookups = ExchangedLookups(model, sizes, torch.device("cpu"), None)
    lookups.look_up(ids, tokens(2, 6, seed=9))
    for found, memory in zip(lookups.look_up(ids), model.memories(), strict=True):
        assert torch.equal(found, memory.look_up(ids))


def test_what_goes_wrong_ahead_is_raised_when_it_is_needed() -> None:
    model = build(GEOMETRIES["engram"])
    sizes = [len(table) for table in model.tables()]
    lookups = ExchangedLookups(model, sizes, torch.device("cpu"), None)
    lookups.look_up(tokens(1, 4), torch.full((1, 4), 99))
    with pytest.raises(IndexError):
        lookups.look_up(torch.full((1, 4), 99))


@pytest.mark.parametrize("kind", ["engram", "over_encoding", "one_row"])
def test_an_exchange_with_oneself_has_the_bits_of_autograd(kind: str) -> None:
    model, ids = build(GEOMETRIES[kind]), tokens(2, 9)
    sizes = [len(table) for table in model.tables()]
    gradients = []
    for lookups in (
        WholeLookups(model),
        ExchangedLookups(model, sizes, torch.device("cpu"), None),
    ):
        found = lookups.look_up(ids)
        generator = torch.Generator().manual_seed(0)
        lookups.give_back([torch.randn(e.shape, generator=generator) for e in found])
        gradients.append([memory.table.weight.grad for memory in model.memories()])
        for table in model.tables():
            table.grad = None
    for whole, exchanged in zip(*gradients, strict=True):
        assert torch.equal(whole.coalesce().indices(), exchanged.coalesce().indices())
        assert torch.equal(whole.coalesce().values(), exchanged.coalesce().values())
