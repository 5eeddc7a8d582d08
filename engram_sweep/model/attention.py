"""Causal self-attention with RoPE: grouped key/value heads with QK-norm, or latent attention."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engram_sweep.model.layers import Linear, RMSNorm
from engram_sweep.spec import Geometry


def rope_tables(
    length: int, head_dim: int, theta: float, device: torch.device
) -> tuple[Tensor, Tensor]:
    """Cosines and sines of the rotary embedding, each (length, head_dim / 2), float32."""
    frequency = theta ** (
        -torch.arange(0, head_dim, 2, device=device, dtype=torch.float32) / head_dim
    )
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
        self.output = Linear(
            g.n_heads * g.head_dim, g.d_model, g.init_std / (2 * g.n_layers) ** 0.5
        )
        self.query_norm = RMSNorm(g.head_dim, g.norm_eps)
        self.key_norm = RMSNorm(g.head_dim, g.norm_eps)

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


class LatentAttention(nn.Module):
    """Multi-head latent attention (MLA, DeepSeek-V2, arXiv 2405.04434, Eq. 9-19).

    (B, T, D) -> (B, T, D).

    Keys and values come from one normed latent of rank `kv_lora_rank`. Position lives in a rotated
    part of its own, whose key all heads share. With `q_lora_rank` the queries come from a normed
    latent too.
    """

    def __init__(self, geometry: Geometry) -> None:
        super().__init__()
        g, m = geometry, geometry.mla
        assert m is not None
        self.n_heads, self.rope_theta = g.n_heads, g.rope_theta
        self.nope, self.rope, self.value_dim = m.qk_nope_head_dim, m.qk_rope_head_dim, m.v_head_dim
        if m.q_lora_rank:
            self.query_down = Linear(g.d_model, m.q_lora_rank, g.init_std)
            self.query_norm = RMSNorm(m.q_lora_rank, g.norm_eps)
        self.query = Linear(m.q_lora_rank or g.d_model, g.n_heads * g.head_dim, g.init_std)
        self.kv_down = Linear(g.d_model, m.kv_lora_rank + m.qk_rope_head_dim, g.init_std)
        self.kv_norm = RMSNorm(m.kv_lora_rank, g.norm_eps)
        self.kv = Linear(
            m.kv_lora_rank, g.n_heads * (m.qk_nope_head_dim + m.v_head_dim), g.init_std
        )
        self.output = Linear(
            g.n_heads * m.v_head_dim, g.d_model, g.init_std / (2 * g.n_layers) ** 0.5
        )
        self.q_lora_rank = m.q_lora_rank

    def forward(self, x: Tensor) -> Tensor:
        B, T, _ = x.shape
        H = self.n_heads
        latent = self.query_norm(self.query_down(x)) if self.q_lora_rank else x
        q = self.query(latent).view(B, T, H, -1).transpose(1, 2)
        q_nope, q_rope = q.split((self.nope, self.rope), dim=-1)
        kv, k_rope = self.kv_down(x).split((self.kv_norm.weight.shape[0], self.rope), dim=-1)
        k_nope, v = (
            self.kv(self.kv_norm(kv))
            .view(B, T, H, -1)
            .transpose(1, 2)
            .split((self.nope, self.value_dim), -1)
        )
        cos, sin = rope_tables(T, self.rope, self.rope_theta, x.device)
        q = torch.cat((q_nope, rotate(q_rope, cos, sin).type_as(v)), dim=-1)
        k_rope = rotate(k_rope[:, None], cos, sin).type_as(v).expand(-1, H, -1, -1)
        y = F.scaled_dot_product_attention(
            q, torch.cat((k_nope, k_rope), dim=-1), v, is_causal=True
        )
        return self.output(y.transpose(1, 2).reshape(B, T, -1))
