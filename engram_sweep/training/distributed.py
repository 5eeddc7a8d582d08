"""Collectives of the processes of one run; each does nothing in a run of one process.

Numbers of the host travel as CPU tensors, over gloo: no device waits for them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
import torch.distributed as dist
from torch import Tensor


def world_size() -> int:
    """Return the number of processes of this run."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank() -> int:
    """Return the number of this process; 0 if it is alone."""
    return dist.get_rank() if world_size() > 1 else 0


def any_of(flags: list[bool]) -> list[bool]:
    """Return whether any process says so, flag by flag."""
    if world_size() == 1:
        return flags
    said = torch.tensor(flags, dtype=torch.int32)
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


def same(value: int) -> bool:
    """Return whether every process has this value."""
    if world_size() == 1:
        return True
    ends = torch.tensor([value, -value])
    dist.all_reduce(ends, dist.ReduceOp.MAX)
    return int(ends[0]) == -int(ends[1]) == value


@contextmanager
def all_well(doing: str) -> Iterator[None]:
    """Let the failure of one process be that of all: the others would wait for it.

    Args:
        doing: what the lines inside do, for those who did it well.

    Raises:
        OSError: the lines inside raised something in another process; in that one it goes on its
            way.
    """
    problem: Exception | None = None
    try:
        yield
    except Exception as error:
        problem = error
    failed = any_of([problem is not None])[0]
    if problem is not None:
        raise problem
    if failed:
        raise OSError(f"{doing}: another process of the run failed")


def gather(values: Sequence[float]) -> list[float]:
    """Return every process's values, one after the other."""
    if world_size() == 1:
        return list(values)
    return torch.cat(_all_gather(torch.tensor(values, dtype=torch.float64))).tolist()


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
