"""Initial values that depend on (seed, tensor name) only: runs along rho differ by rho alone."""

from __future__ import annotations

import numpy as np
import torch
import xxhash
from torch import Tensor, nn


def named_normal(seed: int, name: str, shape: tuple[int, ...], std: float) -> Tensor:
    """Draw normal values for the tensor `name`, row by row.

    The stream is sequential, so two tensors of one name that differ in their first dimension only
    (more experts, more rows) share their common leading part, bit for bit.

    Args:
        seed: the run's seed.
        name: the tensor's full name in the model.
        shape: its shape.
        std: standard deviation; 0 gives zeros.

    Returns:
        A float32 CPU tensor of that shape.
    """
    key = xxhash.xxh3_128_intdigest(f"{seed}/{name}".encode())
    stream = np.random.Generator(np.random.Philox(key=key))
    return torch.from_numpy(stream.standard_normal(shape, dtype=np.float32)).mul_(std)


@torch.no_grad()
def initialise(model: nn.Module, seed: int) -> None:
    """Fill every parameter of a `Transformer` in place.

    Every module names the standard deviation of its own parameters in `init_std` (`{parameter name:
    std}`): convolutions start at zero (paper Appendix A), the rest normal. A tensor in the place of
    a standard deviation is the start itself, e.g. a one for norm weights.

    Args:
        model: the model, on any device, with its final parameter names.
        seed: the run's seed.
    """
    for prefix, module in model.named_modules():
        stds: dict[str, float | Tensor] = getattr(module, "init_std", {})
        for name, parameter in module.named_parameters(prefix, recurse=False):
            std = stds[name.rpartition(".")[2]]
            if isinstance(std, Tensor):
                parameter.copy_(std)
            else:
                parameter.copy_(named_normal(seed, name, tuple(parameter.shape), std))
