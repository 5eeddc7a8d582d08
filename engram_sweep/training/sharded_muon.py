"""Muon on parameters that are cut over processes: each matrix is orthogonalised whole, and once.

Stacked experts are cut between matrices. Of a single matrix every process holds some rows, and of
its momentum too: one process puts the rows of the momentum together, orthogonalises the matrix and
sends the rows back. Matrices are dealt out in turn, as torchtitan's distributed Muon does.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.tensor import DTensor

from engram_sweep.training.layout import owned
from engram_sweep.training.muon import Member, Muon, most, together


class ShardedMuon(Muon):
    """Muon on `DTensor` parameters, with the arguments of `Muon`.

    Every process of a replica steps at the same time; replicas repeat each other's steps.
    """

    def _step_all(self, members: list[Member]) -> None:
        cut = [member for member in members if _is_cut(member[0])]
        super()._step_all([member for member in members if not _is_cut(member[0])])
        for batch in _rounds(cut):
            self._step_cut(batch)

    def _step_cut(self, batch: list[Member]) -> None:
        """One step of matrices (A, B) of which this process holds some rows."""
        mesh = _mesh(batch[0][0])
        ranks, rank = mesh.size(), mesh.get_local_rank()
        owners = [index % ranks for index in range(len(batch))]
        aheads = [self._ahead(p, group) for p, group in batch]
        mine = [index for index, owner in enumerate(owners) if owner == rank]
        # What goes to one owner lies together, matrix by matrix.
        order = sorted(range(len(batch)), key=owners.__getitem__)
        sent = torch.cat([aheads[index].flatten() for index in order])
        out = [
            sum(ahead.numel() for ahead, owner in zip(aheads, owners, strict=True) if owner == r)
            for r in range(ranks)
        ]
        # From every process its rows of the matrices that this one owns.
        parts = [
            [_rows(batch[index][0], source, ranks) * batch[index][0].shape[1] for index in mine]
            for source in range(ranks)
        ]
        back = [sum(part) for part in parts]
        got = sent.new_empty(sum(back))
        dist.all_to_all_single(got, sent, back, out, group=mesh.get_group())
        by_source = [piece.split(part) for piece, part in zip(got.split(back), parts, strict=True)]
        wholes = [
            torch.cat([pieces[j] for pieces in by_source]).view(batch[index][0].shape)
            for j, index in enumerate(mine)
        ]
        updates = _orthogonal(wholes, [batch[index][1]["blocks"] for index in mine])
        # The same way back.
        returned = [
            update.split([_rows(batch[index][0], r, ranks) for r in range(ranks)])
            for index, update in zip(mine, updates, strict=True)
        ]
        answer = [pieces[r].flatten() for r in range(ranks) for pieces in returned]
        answers = torch.cat(answer) if answer else got
        dist.all_to_all_single(sent, answers, out, back, group=mesh.get_group())
        for index, piece in zip(
            order, sent.split([aheads[index].numel() for index in order]), strict=True
        ):
            p, group = batch[index]
            self._apply(p, group, piece.view_as(aheads[index]))


def _is_cut(p: Tensor) -> bool:
    """Whether a parameter is one matrix of which other processes hold rows too."""
    return isinstance(p, DTensor) and p.ndim == 2 and _mesh(p).size() > 1


def _mesh(p: Tensor) -> DeviceMesh:
    assert isinstance(p, DTensor)
    return p.device_mesh["shard"]


def _rows(p: Tensor, rank: int, ranks: int) -> int:
    """Return how many rows of a parameter a process holds."""
    first, last = owned(p.shape[0], rank, ranks)
    return last - first


def _rounds(cut: list[Member]) -> Iterator[list[Member]]:
    """Yield matrices that travel together: enough that every process has some to orthogonalise."""
    # By size, so that the processes of a round have equally much to do.
    members = sorted(cut, key=lambda member: -member[0].numel())
    batch: list[Member] = []
    numbers = 0
    for p, group in members:
        ranks = _mesh(p).size()
        if len(batch) >= ranks and len(batch) % ranks == 0 and numbers > ranks * most(p):
            yield batch
            batch, numbers = [], 0
        batch.append((p, group))
        numbers += p.numel()
    if batch:
        yield batch


def _orthogonal(wholes: list[Tensor], blocks: list[int]) -> list[Tensor]:
    """Orthogonalise matrices (A, blocks * B) of any shapes, those of one shape together."""
    by_shape: dict[tuple[int, int], list[int]] = {}
    for index, (whole, n) in enumerate(zip(wholes, blocks, strict=True)):
        short, long = sorted((whole.shape[0], whole.shape[1] // n))
        by_shape.setdefault((short, long), []).append(index)
    updates = list(wholes)
    for same in by_shape.values():
        found = together([wholes[i] for i in same], [blocks[i] for i in same])
        for i, update in zip(same, found, strict=True):
            updates[i] = update
    return updates
