"""The whole model, built from one `Geometry`: every arm comes from this one builder."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engram_sweep.model.attention import Attention, LatentAttention
from engram_sweep.model.engram import Engram, OverEncoding, Table
from engram_sweep.model.hyper_connections import StreamMix, residual
from engram_sweep.model.layers import GatedFFN, Linear, RMSNorm
from engram_sweep.model.moe import MoE, Router
from engram_sweep.spec import Geometry


class Block(nn.Module):
    """Engram (if placed here) before attention (paper section 2.4), attention, feed-forward."""

    def __init__(self, geometry: Geometry, block: int, compression: Tensor | None) -> None:
        super().__init__()
        g, memory = geometry, geometry.memory
        placed = memory is not None and block in memory.layers
        self.engram = (
            Engram(g, memory.layers.index(block), compression) if memory and placed else None
        )
        self.attention_mix = StreamMix(g, 2 * block) if g.streams > 1 else None
        self.attention_norm = RMSNorm(g.d_model, g.norm_eps)
        self.attention = LatentAttention(g) if g.mla else Attention(g)
        self.feed_forward_mix = StreamMix(g, 2 * block + 1) if g.streams > 1 else None
        self.feed_forward_norm = RMSNorm(g.d_model, g.norm_eps)
        if g.is_moe(block):
            self.feed_forward: nn.Module = MoE(g, block)
        else:
            output_std = g.init_std / (2 * g.n_layers) ** 0.5
            self.feed_forward = GatedFFN(g.d_model, g.shared_width[block], g.init_std, output_std)

    def forward(self, h: Tensor, e: Tensor | None) -> Tensor:
        """(B, T, D) or (B, T, n, D) -> same shape.

        `e` (B, T, d_memory) is what the block's Engram looked up, if it has one.
        """
        if self.engram is not None:
            h = h + self.engram(h, e)
        h = residual(self.attention_mix, h, lambda x: self.attention(self.attention_norm(x)))
        return residual(
            self.feed_forward_mix, h, lambda x: self.feed_forward(self.feed_forward_norm(x))
        )


class Transformer(nn.Module):
    """Pre-norm decoder over token ids.

    Args:
        geometry: the shape.
        compression: (V,) int64 tokenizer compression map for the n-gram keys, or None for none.

    Parameters hold no values until `engram_sweep.model.initialization.initialise` fills them.
    """

    def __init__(self, geometry: Geometry, compression: Tensor | None = None) -> None:
        super().__init__()
        g = geometry
        self.streams = g.streams
        self.compiled_decode: Callable[[Tensor, list[Tensor]], Tensor] | None = None
        self.embedding = Table(g.vocab_size, g.d_model, g.init_std)
        self.over_encoding = OverEncoding(g, compression) if g.memory_at_input else None
        self.blocks = nn.ModuleList(Block(g, i, compression) for i in range(g.n_layers))
        self.norm = RMSNorm(g.d_model, g.norm_eps)
        self.head = Linear(g.d_model, g.vocab_size, g.init_std)

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, T) int64 token ids -> (B, T, V) logits."""
        decode = self.compiled_decode or self.decode
        return decode(tokens, [memory.look_up(tokens) for memory in self.memories()])

    def compile(self, *options: Any, **named_options: Any) -> None:
        """Run everything but the lookups through `torch.compile`.

        Its default backend knows no sparse gradients.

        Args:
            options: passed on.
            named_options: passed on.
        """
        self.compiled_decode = torch.compile(self.decode, *options, **named_options)

    def decode(self, tokens: Tensor, looked_up: list[Tensor]) -> Tensor:
        """Return the model behind the lookups.

        Args:
            tokens: (B, T) int64.
            looked_up: what each of `memories` looked up.

        Returns:
            (B, T, V) logits.
        """
        rows = iter(looked_up)
        h = F.embedding(tokens, self.embedding.weight)
        if self.over_encoding is not None:
            h = self.over_encoding(h, next(rows))
        if self.streams > 1:
            h = h[:, :, None].repeat(1, 1, self.streams, 1)
        for block in self.blocks:
            h = block(h, next(rows) if block.engram is not None else None)
        if self.streams > 1:
            h = h.mean(2)
        return self.head(self.norm(h))

    def memories(self) -> list[Engram | OverEncoding]:
        """Return the modules that look up n-grams, from the input on."""
        return [m for m in self.modules() if isinstance(m, (Engram, OverEncoding))]

    def tables(self) -> list[nn.Parameter]:
        """Return the n-gram tables: parameters with their own optimizer and sparse gradients."""
        return [memory.table.weight for memory in self.memories()]

    def routers(self) -> list[Router]:
        """Return the routers, block by block."""
        return [m for m in self.modules() if isinstance(m, Router)]

    def measure_balance(self) -> None:
        """Let every router compute the sequence-wise balance loss in training."""
        for router in self.routers():
            router.measure_balance = True

    def balance_loss(self) -> Tensor | float:
        """Sum, over MoE layers, the balance losses of the last forward pass, without a weight."""
        return sum(
            (router.balance for router in self.routers() if router.balance is not None), start=0.0
        )

    def gate_means(self) -> list[float]:
        """Mean gate of each Engram module in the last forward pass."""
        return [float(m.gate_mean) for m in self.modules() if isinstance(m, Engram)]


def window_losses(logits: Tensor, targets: Tensor) -> Tensor:
    """Mean cross-entropy of every window.

    Args:
        logits: (B, T, V).
        targets: (B, T) int64.

    Returns:
        (B,) float32, nats per token.
    """
    loss = F.cross_entropy(logits.float().flatten(0, 1), targets.flatten(), reduction="none")
    return loss.view_as(targets).mean(dim=1)
