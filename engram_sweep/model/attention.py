"""Causal self-attention: RoPE, QK-norm, grouped key/value heads."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engram_sweep.model.layers import Linear, RMSNorm
from engram_sweep.spec import Geometry


def rope_tables(length: int, head_dim: int, theta: float, device: torch.device) -> tuple[Tensor, Tensor]:
    """Cosines and sines of the rotary embedding, each (length, head_dim / 2), float32."""
    frequency = theta ** (-torch.arange(0, head_dim, 2, device=device, dtype=torch.float32) / head_dim)
    angle = torch.arange(length, device=device, dtype=torch.float32)[:, None] * frequency
    return angle.cos(), angle.sin()


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotate the pairs (i, i + head_dim / 2) of `x` (B, H, T, head_dim) by position."""
    first, second = x.chunk(2, dim=-1)
    return torch.cat((first * cos - second * sin, first * sin + second * cos), dim=-1)


class Attention(nn.Module):
    """Pre-norm causal attention over `F.scaled_dot_product_attention`; (B, T, D) -> (B, T, D)."""

    def __init__(self, geometry: Geometry) -> None:
        super().__init__()
        g = geometry
        self.n_heads, self.n_kv_heads, self.head_dim = g.n_heads, g.n_kv_heads, g.head_dim
        self.rope_theta = g.rope_theta
        self.query = Linear(g.d_model, g.n_heads * g.head_dim, g.init_std)
        self.key = Linear(g.d_model, g.n_kv_heads * g.head_dim, g.init_std)
        self.value = Linear(g.d_model, g.n_kv_heads * g.head_dim, g.init_std)
        self.output = Linear(g.n_heads * g.head_dim, g.d_model, g.init_std / (2 * g.n_layers) ** 0.5)
        self.query_norm = RMSNorm(g.head_dim)
        self.key_norm = RMSNorm(g.head_dim)

    def forward(self, x: Tensor) -> Tensor:
        B, T, _ = x.shape
        q = self.query_norm(self.query(x).view(B, T, self.n_heads, self.head_dim)).transpose(1, 2)
        k = self.key_norm(self.key(x).view(B, T, self.n_kv_heads, self.head_dim)).transpose(1, 2)
        v = self.value(x).view(B, T, self.n_kv_heads, self.head_dim).transpose(1, 2)
        cos, sin = rope_tables(T, self.head_dim, self.rope_theta, x.device)
        q, k = rotate(q, cos, sin).type_as(v), rotate(k, cos, sin).type_as(v)
        grouped = self.n_kv_heads != self.n_heads
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=grouped)
        return self.output(y.transpose(1, 2).reshape(B, T, -1))
