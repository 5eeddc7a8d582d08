"""The Engram module (paper sections 2.2 to 2.4) and its input-side relative, over-encoding."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engram_sweep.model.layers import BranchLinear, Linear, RMSNorm, at_least_fp32
from engram_sweep.model.ngrams import NgramRows
from engram_sweep.spec import Geometry


class Table(nn.Module):
    """All heads of one layer in one weight (rows, head_dim).

    Its gradient is sparse: it holds the touched rows only.
    """

    def __init__(self, rows: int, head_dim: int, std: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(rows, head_dim))
        self.init_std = {"weight": std}

    def forward(self, rows: Tensor) -> Tensor:
        """(B, T, H) rows -> (B, T, H, head_dim)."""
        return F.embedding(rows, self.weight, sparse=True)


class ShortConv(nn.Module):
    """SiLU of a causal depthwise convolution over normed values (paper Eq. 5); zero at the start.

    Args:
        width: D.
        branches: M; above 1 every residual stream has its own norm and taps.
        kernel: taps.
        dilation: tokens between taps; the paper uses the largest n-gram order.
        norm_eps: of the norm.
    """

    def __init__(
        self, width: int, branches: int, kernel: int, dilation: int, norm_eps: float
    ) -> None:
        super().__init__()
        self.norm = RMSNorm(width, norm_eps, branches)
        self.weight = nn.Parameter(torch.empty(*self.norm.weight.shape, kernel))
        self.dilation = dilation
        self.init_std = {"weight": 0.0}

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, D) or (B, T, M, D) -> same shape.

        Tap j looks (kernel - 1 - j) * dilation positions back; the last tap looks at its own.
        """
        kernel = self.weight.shape[-1]
        weight = self.weight.type_as(x)
        # Shifted products instead of conv1d: no transposes, and several times faster on CPU at
        # these kernels.
        normed = F.pad(self.norm(x), (0, 0) * (x.ndim - 2) + ((kernel - 1) * self.dilation, 0))
        T = x.shape[1]
        taps = [
            normed[:, j * self.dilation : j * self.dilation + T] * weight[..., j]
            for j in range(kernel)
        ]
        return F.silu(torch.stack(taps).sum(0))


class Engram(nn.Module):
    """Look up hashed n-gram rows, gate them by the hidden state, smooth them over time.

    k = W_K e, v = W_V e, alpha = sigmoid(<norm(h), norm(k)> / sqrt(D)), Y = ShortConv(alpha v) +
    alpha v (Eq. 3-5). With M residual streams, one table and one W_V serve all; each has its own
    W_K, norms, gate and taps (section 2.4). Under `fusion: single` there is one set of these: its
    gate reads the mean over streams, and all streams get the same Y. Without a gate alpha is 1,
    without a convolution Y is alpha v (the parts that section 6.2 takes away).
    """

    def __init__(self, geometry: Geometry, index: int, compression: Tensor | None) -> None:
        super().__init__()
        memory = geometry.memory
        assert memory is not None
        self.signed_sqrt = memory.signed_sqrt
        self.rows = NgramRows(memory, index, compression, geometry.vocab_size)
        self.table = Table(memory.table_rows(index), memory.head_dim, memory.init_std)
        D, std, norm_eps = geometry.d_model, geometry.init_std, geometry.norm_eps
        M = self.branches = geometry.streams if memory.fusion == "branches" else 1
        self.gated = memory.gate
        if memory.gate:
            self.key = (
                BranchLinear(M, memory.d_memory, D, std)
                if M > 1
                else Linear(memory.d_memory, D, std)
            )
        self.value = Linear(memory.d_memory, D, std)
        if memory.gate:
            self.query_norm = RMSNorm(D, norm_eps, M)
            self.key_norm = RMSNorm(D, norm_eps, M)
        self.conv = (
            ShortConv(D, M, memory.conv_kernel, memory.max_order, norm_eps)
            if memory.conv_kernel
            else None
        )
        self.gate_mean = float("nan")
        """Mean gate of the last forward pass, for the log; a tensor until it is read."""

    def look_up(self, tokens: Tensor) -> Tensor:
        """(B, T) token ids -> e (B, T, d_memory).

        It depends on the ids only, so it can run ahead of the model.
        """
        return self.table(self.rows(tokens)).flatten(2)

    def forward(self, h: Tensor, e: Tensor) -> Tensor:
        """Return what to add to the hidden states.

        Hidden states (B, T, D) or (B, T, M, D) and looked-up e (B, T, d_memory) -> the shape of
        the former.
        """
        e = e.type_as(h)
        gate = self.gate(h, e)
        self.gate_mean = gate.detach().mean()
        value = self.value(e)
        value = gate[..., None].type_as(h) * (value if gate.ndim == 2 else value[..., None, :])
        added = value if self.conv is None else self.conv(value) + value
        # What one fusion adds is added to every stream.
        return added if added.ndim == h.ndim else added[..., None, :].expand_as(h)

    def gate(self, h: Tensor, e: Tensor) -> Tensor:
        """Return how far each position opens to its rows, alpha of Eq. 4.

        Hidden states (B, T, D) or (B, T, M, D) and e (B, T, d_memory) of their type -> (B, T) or,
        with branches, (B, T, M); float32 at least, between 0 and 1.
        """
        if h.ndim == 4 and self.branches == 1:
            h = h.mean(2)
        if not self.gated:
            return at_least_fp32(h.new_ones(h.shape[:-1]))
        score = (
            at_least_fp32(self.query_norm(h) * self.key_norm(self.key(e))).sum(-1)
            / h.shape[-1] ** 0.5
        )
        if self.signed_sqrt:
            score = score.sign() * score.abs().clamp_min(1e-6).sqrt()
        return score.sigmoid()


class OverEncoding(nn.Module):
    """Average the token embedding with projected n-gram rows (over-encoding, arXiv 2501.16975).

    h = (x + sum over orders i and slices j of E_ij W_ij) / (1 + k (n - 1)), for orders 2..n and k
    slices (our heads). Every table E_ij has its own projection W_ij to D; side by side they are one
    matrix over the concatenated rows, so the sum is one product.
    """

    def __init__(self, geometry: Geometry, compression: Tensor | None) -> None:
        super().__init__()
        memory = geometry.memory
        assert memory is not None
        self.rows = NgramRows(memory, 0, compression, geometry.vocab_size)
        self.table = Table(memory.table_rows(0), memory.head_dim, memory.init_std)
        self.projection = Linear(memory.d_memory, geometry.d_model, geometry.init_std)
        self.lookups = memory.lookups

    def look_up(self, tokens: Tensor) -> Tensor:
        """(B, T) token ids -> e (B, T, d_memory)."""
        return self.table(self.rows(tokens)).flatten(2)

    def forward(self, x: Tensor, e: Tensor) -> Tensor:
        """(B, T, D) token embeddings, looked-up e (B, T, d_memory) -> (B, T, D)."""
        return (x + self.projection(e).type_as(x)) / (1 + self.lookups)
