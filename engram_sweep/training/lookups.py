"""Rows of the n-gram tables for a whole step, looked up once before its micro-batches.

What is looked up depends on token ids only. So a step looks up the rows of all of its micro-batches
at once, hands them to the model as leaves, and gives their gradients back at once after the last
backward pass.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from threading import Thread

import torch
import torch.distributed as dist
from torch import Tensor

from engram_sweep.model.transformer import Transformer
from engram_sweep.training.layout import owned


class WholeLookups:
    """Look-ups in tables that this process holds whole: autograd brings gradients to their rows.

    Args:
        model: whose tables.
    """

    plans_ahead = False
    """Whether `look_up` has any use for the next call's ids."""

    def __init__(self, model: Transformer) -> None:
        self.memories = model.memories()
        self.found: list[Tensor] = []

    def look_up(self, tokens: Tensor, upcoming: Tensor | None = None) -> list[Tensor]:
        """(B, T) token ids -> what each memory looked up, (B, T, d_memory), cut from the graph.

        There is nothing to be planned for `upcoming` ones.
        """
        self.found = [memory.look_up(tokens) for memory in self.memories]
        return [e.detach() for e in self.found]

    def give_back(self, gradients: Sequence[Tensor]) -> None:
        """Leave in each table the gradient of its rows, from (B, T, d_memory) of the last call."""
        for e, gradient in zip(self.found, gradients, strict=True):
            e.backward(gradient)
        self.found = []

    def close(self) -> None:
        """Nothing is under way."""


@dataclass(frozen=True)
class Exchange:
    """Who sends which rows of one table to whom in one step; every distinct row once."""

    inverse: Tensor
    """(n,) which of the rows that come here stands at each position."""
    asked: list[int]
    """Distinct rows that this process asks of each one."""
    given: list[int]
    """Rows that each process asks of this one."""
    unique: Tensor
    """(m,) own rows that are asked for by anyone, counted from the first one here, ascending."""
    merged: Tensor
    """(sum of given,) which of `unique` each asked row is."""


def plan(rows: Tensor, total: int, group: dist.ProcessGroup | None) -> Exchange:
    """Agree who sends what. All processes call it; it depends on token ids only.

    Args:
        rows: (..., H) rows of the whole table, on the CPU.
        total: rows of the whole table.
        group: a gloo group, so that sizes are numbers of the host from the start; None if this
            process owns all rows.
    """
    wanted, inverse = torch.unique(rows.flatten(), return_inverse=True)
    if group is None:
        every = torch.arange(len(wanted))
        return Exchange(inverse, [len(wanted)], [len(wanted)], wanted, every)
    rank, ranks = dist.get_rank(group), dist.get_world_size(group)
    # Ascending, hence sorted by owner.
    ends = torch.tensor([owned(total, r, ranks)[1] for r in range(ranks)])
    asked = torch.searchsorted(wanted, ends).diff(prepend=torch.zeros(1, dtype=torch.int64))
    given = torch.empty_like(asked)
    dist.all_to_all_single(given, asked, group=group)
    asked_list, given_list = asked.tolist(), given.tolist()
    own = wanted.new_empty(sum(given_list))
    dist.all_to_all_single(own, wanted, given_list, asked_list, group=group)
    unique, merged = torch.unique(own - owned(total, rank, ranks)[0], return_inverse=True)
    return Exchange(inverse, asked_list, given_list, unique, merged)


class ExchangedLookups:
    """Look-ups in tables whose every row lies in one process only.

    A step asks for each distinct row once, and gives its summed gradient back to its owner; the
    cost does not depend on the size of the table. Who asks whom is planned on the host, for the
    next step while this one computes.

    Args:
        model: its tables hold this process's rows.
        table_rows: rows of each table, whole.
        device: where the model computes.
        group: gloo, for plans; None if this process owns all rows.
    """

    plans_ahead = True

    def __init__(
        self,
        model: Transformer,
        table_rows: list[int],
        device: torch.device,
        group: dist.ProcessGroup | None,
    ) -> None:
        self.memories, self.table_rows = model.memories(), table_rows
        self.device, self.group = device, group
        # Plans are made on the host, whatever device the model moves to.
        self.hashes = [copy.deepcopy(memory.rows).cpu() for memory in self.memories]
        self.ahead: tuple[Tensor, Future[list[Exchange]]] | None = None
        self.exchanges: list[Exchange] = []

    @torch.no_grad()
    def look_up(self, tokens: Tensor, upcoming: Tensor | None = None) -> list[Tensor]:
        """Return what each memory looks up; all processes call it.

        Args:
            tokens: (B, T) ids.
            upcoming: those of the next call, if they are known.

        Returns:
            (B, T, d_memory) for each memory.
        """
        tokens = tokens.cpu()
        self.exchanges = self._planned(tokens)
        found = []
        for memory, exchange in zip(self.memories, self.exchanges, strict=True):
            # Through the module: its optimizer brings the rows up to date first.
            own = memory.table(exchange.unique.to(memory.table.weight.device))
            answers = own.index_select(0, exchange.merged.to(own.device))
            got = self._send(answers, exchange.given, exchange.asked)
            rows = got.index_select(0, exchange.inverse.to(got.device))
            found.append(rows.view(*tokens.shape, -1))
        if upcoming is not None:
            self._plan_ahead(upcoming.cpu())
        return found

    @torch.no_grad()
    def give_back(self, gradients: Sequence[Tensor]) -> None:
        """Leave in each table the gradient of its rows, from (B, T, d_memory) of the last call."""
        for memory, exchange, gradient in zip(
            self.memories, self.exchanges, gradients, strict=True
        ):
            table = memory.table.weight
            each = gradient.reshape(-1, table.shape[1])
            mine = _summed(exchange.inverse.to(each.device), each, sum(exchange.asked))
            got = self._send(mine, exchange.asked, exchange.given).to(table.device)
            values = _summed(exchange.merged.to(got.device), got, len(exchange.unique))
            # A process whose rows nobody asked for has a gradient without rows: its optimizer
            # counts the step.
            table.grad = torch.sparse_coo_tensor(
                exchange.unique[None].to(got.device),
                values,
                table.shape,
                is_coalesced=True,
                check_invariants=False,
            )

    def close(self) -> None:
        """Wait for the plan that is under way: the processes part after that."""
        if self.ahead is not None:
            self.ahead[1].exception()
            self.ahead = None

    def _send(self, rows: Tensor, out: list[int], back: list[int]) -> Tensor:
        """Return the rows that come in return for (sum of out, D) rows, on the model's device."""
        if rows.device != self.device:
            # Pinned, so that the copy does not wait for what the device is doing.
            rows = rows.pin_memory().to(self.device, non_blocking=True)
        if self.group is None:
            return rows
        got = rows.new_empty(sum(back), rows.shape[1])
        dist.all_to_all_single(got, rows, back, out)
        return got

    def _plan(self, tokens: Tensor) -> list[Exchange]:
        pairs = zip(self.hashes, self.table_rows, strict=True)
        return [plan(hashed(tokens), total, self.group) for hashed, total in pairs]

    def _plan_ahead(self, tokens: Tensor) -> None:
        """Plan in a thread, which nobody waits for if the process ends."""
        future: Future[list[Exchange]] = Future()

        def work() -> None:
            try:
                future.set_result(self._plan(tokens))
            except BaseException as error:
                future.set_exception(error)

        self.ahead = (tokens, future)
        Thread(target=work, daemon=True).start()

    def _planned(self, tokens: Tensor) -> list[Exchange]:
        """Return the plan of a call: the one that was made ahead if it was for these tokens."""
        if self.ahead is not None:
            planned, future = self.ahead
            self.ahead = None
            exchanges = future.result()
            if torch.equal(planned, tokens):
                return exchanges
        return self._plan(tokens)


def _summed(where: Tensor, rows: Tensor, n: int) -> Tensor:
    """(m, D) rows -> (n, D), each added to the one that `where` (m,) says.

    By the sum that a sparse gradient's optimizer would do itself: tables that lie in one process
    then get the same bits as by autograd, and a GPU adds without atomics.
    """
    if not len(rows):
        return rows.new_zeros(n, rows.shape[1])
    sparse = torch.sparse_coo_tensor(where[None], rows, (n, rows.shape[1]), check_invariants=False)
    return sparse.coalesce().values()


Lookups = WholeLookups | ExchangedLookups
"""Either of them."""
