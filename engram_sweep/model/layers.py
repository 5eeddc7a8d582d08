"""The three small layers that everything else is made of. Each names its own initial scale."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engram_sweep.model.initial import UNIT


class Linear(nn.Module):
    """y = x W^T without bias; weight (out, in), normal at the start with standard deviation `std`."""

    def __init__(self, width_in: int, width_out: int, std: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(width_out, width_in))
        self.init_std = {"weight": std}

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight)


class RMSNorm(nn.Module):
    """Root-mean-square norm over the last dimension with a learned scale that starts at one."""

    def __init__(self, width: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(width))
        self.eps = eps
        self.init_std = {"weight": UNIT}

    def forward(self, x: Tensor) -> Tensor:
        return F.rms_norm(x, self.weight.shape, self.weight.type_as(x), self.eps)


class GatedFFN(nn.Module):
    """SwiGLU feed-forward of the given width: down(silu(gate x) * up x); (..., D) -> (..., D)."""

    def __init__(self, d_model: int, width: int, std: float, output_std: float) -> None:
        super().__init__()
        self.gate = Linear(d_model, width, std)
        self.up = Linear(d_model, width, std)
        self.down = Linear(width, d_model, output_std)

    def forward(self, x: Tensor) -> Tensor:
        return self.down(F.silu(self.gate(x)) * self.up(x))
