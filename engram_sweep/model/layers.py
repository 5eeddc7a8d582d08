"""The small layers that everything else is made of. Each names its own initial scale."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def without_autocast(x: Tensor) -> AbstractContextManager[Any]:
    """Return a context without autocast on the device of `x`: routing and mixing need fp32."""
    if not torch.is_autocast_enabled(x.device.type):
        # A compiled graph that enters a context is traced anew by every process.
        return nullcontext()
    return torch.autocast(x.device.type, enabled=False)


def at_least_fp32(x: Tensor) -> Tensor:
    """`x` in float32, or unchanged if it is wider (gradient checks run in float64)."""
    return x if x.dtype == torch.float64 else x.float()


class Linear(nn.Module):
    """y = x W^T without bias; weight (out, in), initially normal with standard deviation `std`."""

    def __init__(self, width_in: int, width_out: int, std: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(width_out, width_in))
        self.init_std = {"weight": std}

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight)


class BranchLinear(nn.Module):
    """M projections of one input, one product: (..., in) -> (..., M, out); weight (M, out, in)."""

    def __init__(self, branches: int, width_in: int, width_out: int, std: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(branches, width_out, width_in))
        self.init_std = {"weight": std}

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight.flatten(0, 1)).unflatten(-1, self.weight.shape[:2])


class RMSNorm(nn.Module):
    """Root-mean-square norm over the last dimension with a learned scale that starts at one.

    Args:
        width: D.
        eps: added to the mean square.
        branches: with M above 1, one scale for each: (..., M, D) -> (..., M, D).
    """

    def __init__(self, width: int, eps: float, branches: int = 1) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty((branches, width) if branches > 1 else width))
        self.eps = eps
        self.init_std = {"weight": torch.ones((), device="cpu")}

    def forward(self, x: Tensor) -> Tensor:
        weight = self.weight.type_as(x)
        if weight.ndim == 1:
            return F.rms_norm(x, weight.shape, weight, self.eps)
        return F.rms_norm(x, weight.shape[-1:], None, self.eps) * weight


class GatedFFN(nn.Module):
    """SwiGLU feed-forward of the given width: down(silu(gate x) * up x); (..., D) -> (..., D)."""

    def __init__(self, d_model: int, width: int, std: float, output_std: float) -> None:
        super().__init__()
        self.gate = Linear(d_model, width, std)
        self.up = Linear(d_model, width, std)
        self.down = Linear(width, d_model, output_std)

    def forward(self, x: Tensor) -> Tensor:
        return self.down(F.silu(self.gate(x)) * self.up(x))
