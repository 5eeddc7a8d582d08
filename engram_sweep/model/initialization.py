"""Initial values that depend on (seed, tensor name) only: runs along rho differ by rho alone.

A tensor is drawn in blocks of whole rows, each from a place in the tensor's stream that the
block's number gives. So any rows can be drawn without those before them, by any process or thread,
and tensors of one name that differ in their first dimension only (more experts, more rows) share
their common rows, bit for bit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from math import prod

import numpy as np
import torch
import xxhash
from torch import Tensor, nn

BLOCK_NUMBERS = 1 << 16
"""Numbers of a block, or those of one row if that has more; another value is another start."""
MAX_DRAWN = 1 << 26
"""Numbers of a parameter that are drawn at a time, to bound what is held beside it."""

Part = tuple[Tensor, tuple[int, ...], int]
"""Rows of a parameter, the shape of the whole, the number of the first of these rows."""


def rows_per_block(shape: tuple[int, ...]) -> int:
    """Return how many rows of a tensor make a block; it does not depend on how many there are."""
    return max(1, BLOCK_NUMBERS // max(1, prod(shape[1:])))


def named_normal(
    seed: int, name: str, shape: tuple[int, ...], std: float, rows: tuple[int, int] | None = None
) -> Tensor:
    """Draw normal values for the tensor `name`, or for some of its rows.

    Args:
        seed: the run's seed.
        name: the tensor's full name in the model.
        shape: its shape.
        std: standard deviation; 0 gives zeros.
        rows: the first of the rows that are wanted and the one behind the last; None for all.

    Returns:
        A float32 CPU tensor of that shape, or of those rows.

    Example:
        With `shape = (10**9, 80)`, `named_normal(0, "x", shape, 1.0, (5000, 6000))` equals rows
        5000 to 5999 of the whole, and draws two blocks of 819 rows.
    """
    start, stop = rows or (0, shape[0])
    key = xxhash.xxh3_128_intdigest(f"{seed}/{name}".encode())
    each = rows_per_block(shape)
    drawn = np.empty((stop - start, *shape[1:]), np.float32)

    def draw(block: int) -> None:
        # Philox is a counter under a key: blocks lie 2^128 draws apart.
        stream = np.random.Generator(np.random.Philox(key=key, counter=block << 128))
        first = block * each
        last = min(first + each, stop)
        values = stream.standard_normal((last - first, *shape[1:]), dtype=np.float32)
        # Within a block the rows before the first wanted one have to be drawn too.
        wanted = max(first, start)
        drawn[wanted - start : last - start] = values[wanted - first :]

    blocks = range(start // each, -(-stop // each))
    threads = min(torch.get_num_threads(), len(blocks))
    if threads > 1:
        # numpy draws outside the interpreter's lock.
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(draw, blocks))
    else:
        for block in blocks:
            draw(block)
    return torch.from_numpy(drawn).mul_(std)


def _pieces(shape: tuple[int, ...], first: int, last: int) -> Iterator[tuple[int, int]]:
    """Yield rows first..last of a tensor in pieces, each of about MAX_DRAWN numbers."""
    each = rows_per_block(shape)
    step = each * max(1, MAX_DRAWN // max(1, each * prod(shape[1:])))
    for start in range(first, last, step):
        yield start, min(start + step, last)


def _whole(parameter: nn.Parameter) -> Part:
    return parameter, tuple(parameter.shape), 0


@torch.no_grad()
def initialise(model: nn.Module, seed: int, part: Callable[[nn.Parameter], Part] = _whole) -> None:
    """Fill every parameter of a `Transformer` in place.

    Every module names the standard deviation of its own parameters in `init_std` (`{parameter name:
    std}`): convolutions start at zero (paper Appendix A), the rest normal. A tensor in the place of
    a standard deviation is the start itself, e.g. a one for norm weights.

    Args:
        model: the model, on any device, with its final parameter names.
        seed: the run's seed.
        part: what lies in this process of a parameter: its rows, the shape of the whole, and the
            number of the first row. Only these rows are drawn, with the values of the whole's.
    """
    for prefix, module in model.named_modules():
        stds: dict[str, float | Tensor] = getattr(module, "init_std", {})
        for name, parameter in module.named_parameters(prefix, recurse=False):
            std = stds[name.rpartition(".")[2]]
            own, shape, first = part(parameter)
            last = first + len(own)
            if isinstance(std, Tensor):
                own.copy_(std.expand(shape)[first:last])
                continue
            for start, stop in _pieces(shape, first, last):
                drawn = named_normal(seed, name, shape, std, (start, stop))
                own[start - first : stop - first].copy_(drawn)
