"""Collectives of the processes of one run; each does nothing in a run of one process."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.distributed as dist
from torch import Tensor


def world_size() -> int:
    """Return the number of processes of this run."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def any_of(flags: list[bool], device: torch.device) -> list[bool]:
    """Return whether any process says so, flag by flag."""
    if world_size() == 1:
        return flags
    said = torch.tensor(flags, dtype=torch.int32, device=device)
    dist.all_reduce(said, dist.ReduceOp.MAX)
    return [bool(flag) for flag in said.tolist()]


def sum_(tensor: Tensor) -> Tensor:
    """Add up in place over processes."""
    if world_size() > 1:
        dist.all_reduce(tensor)
    return tensor


def mean_(tensor: Tensor) -> Tensor:
    """Average in place over processes."""
    return sum_(tensor).div_(world_size()) if world_size() > 1 else tensor


def same(value: int, device: torch.device) -> bool:
    """Return whether every process has this value."""
    if world_size() == 1:
        return True
    ends = torch.tensor([value, -value], device=device)
    dist.all_reduce(ends, dist.ReduceOp.MAX)
    return int(ends[0]) == -int(ends[1]) == value


def mean_sparse(gradient: Tensor) -> Tensor:
    """Return the mean over processes of a sparse gradient: NCCL cannot reduce, so all gather.

    Args:
        gradient: (R, D) sparse COO, other rows in every process.

    Returns:
        (R, D) sparse COO, coalesced, the same in every process.
    """
    if world_size() == 1:
        return gradient
    gradient = gradient.coalesce()
    rows = torch.cat(_all_gather(gradient.indices()[0]))
    values = torch.cat(_all_gather(gradient.values())) / world_size()
    return torch.sparse_coo_tensor(
        rows[None], values, gradient.shape, check_invariants=False
    ).coalesce()


def gather(values: Sequence[float], device: torch.device) -> list[float]:
    """Return every process's values, one after the other."""
    if world_size() == 1:
        return list(values)
    return torch.cat(_all_gather(torch.tensor(values, dtype=torch.float64, device=device))).tolist()


def _all_gather(piece: Tensor) -> list[Tensor]:
    """Return every process's (n, ...) tensor, n differing: pieces travel padded to the longest."""
    counts = torch.zeros(world_size(), dtype=torch.int64, device=piece.device)
    counts[dist.get_rank()] = len(piece)
    sizes = sum_(counts).tolist()
    padded = piece.new_zeros(max(sizes), *piece.shape[1:])
    padded[: len(piece)] = piece
    pieces = [torch.empty_like(padded) for _ in sizes]
    dist.all_gather(pieces, padded)
    return [whole[:size] for whole, size in zip(pieces, sizes, strict=True)]
