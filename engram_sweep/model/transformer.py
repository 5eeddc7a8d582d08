"""The whole model, built from one `Geometry`: every arm comes from this one builder."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

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
        self.compiled = False
        """Whether blocks and losses run through `torch.compile`."""
        self.recompute = False
        """Whether the inside of a block is computed again in the backward pass, not kept."""
        self.loss_chunk = 0
        """Tokens whose logits exist at once when losses are asked for; 0 for all."""
        self.embedding = Table(g.vocab_size, g.d_model, g.init_std)
        self.over_encoding = OverEncoding(g, compression) if g.memory_at_input else None
        self.blocks = nn.ModuleList(Block(g, i, compression) for i in range(g.n_layers))
        self.norm = RMSNorm(g.d_model, g.norm_eps)
        self.head = Linear(g.d_model, g.vocab_size, g.init_std)

    def forward(
        self,
        tokens: Tensor,
        looked_up: list[Tensor] | None = None,
        targets: Tensor | None = None,
    ) -> Tensor:
        """Return logits, or with targets the loss of every window.

        Args:
            tokens: (B, T) int64.
            looked_up: what each of `memories` looked up, (B, T, d_memory) each; if left out, it is
                looked up here.
            targets: (B, T) int64.

        Returns:
            (B, T, V) logits; with targets (B,) float32, mean nats/token.
        """
        if looked_up is None:
            looked_up = [memory.look_up(tokens) for memory in self.memories()]
        h = self.hidden(tokens, looked_up)
        if targets is None:
            return self.head(h)
        return self._losses_in_chunks(h, targets) if self.loss_chunk else self.losses(h, targets)

    def losses(self, h: Tensor, targets: Tensor) -> Tensor:
        """Return `window_losses` of what `hidden` returned."""
        return window_losses(self.head(h), targets)

    def hidden(self, tokens: Tensor, looked_up: list[Tensor]) -> Tensor:
        """Return what the LM head reads, the model behind the lookups.

        Args:
            tokens: (B, T) int64.
            looked_up: what each of `memories` looked up.

        Returns:
            (B, T, D).
        """
        rows = iter(looked_up)
        h = F.embedding(tokens, self.embedding.weight)
        if self.over_encoding is not None:
            h = self.over_encoding(h, next(rows))
        if self.streams > 1:
            h = h[:, :, None].repeat(1, 1, self.streams, 1)
        run = _recomputed if self.recompute and torch.is_grad_enabled() else _run
        for block in self.blocks:
            h = run(block, h, next(rows) if block.engram is not None else None)
        if self.streams > 1:
            h = h.mean(2)
        return self.norm(h)

    def _losses_in_chunks(self, h: Tensor, targets: Tensor) -> Tensor:
        """Return `window_losses`, with the logits of `loss_chunk` tokens at a time.

        The backward pass computes each chunk's logits again: those of 128 k words are larger than
        all else that a step keeps.
        """
        pieces = zip(
            h.flatten(0, 1).split(self.loss_chunk),
            targets.flatten().split(self.loss_chunk),
            strict=True,
        )
        losses = [
            checkpoint(self._token_losses, *piece, use_reentrant=False, preserve_rng_state=False)
            for piece in pieces
        ]
        return torch.cat(losses).view_as(targets).mean(dim=1)

    def _token_losses(self, h: Tensor, targets: Tensor) -> Tensor:
        """(n, D), (n,) int64 -> (n,) float32 nats."""
        return F.cross_entropy(self.head(h).float(), targets, reduction="none")

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


def _run(block: nn.Module, h: Tensor, e: Tensor | None) -> Tensor:
    return block(h, e)


def _recomputed(block: nn.Module, h: Tensor, e: Tensor | None) -> Tensor:
    """Run a block that keeps its inputs only: activation checkpointing."""
    routers = [m for m in block.modules() if isinstance(m, Router)]
    # Stopping early would leave a block, and whoever hooks into its forward, half-way.
    return checkpoint(
        block,
        h,
        e,
        use_reentrant=False,
        preserve_rng_state=False,
        early_stop=False,
        context_fn=lambda: (nullcontext(), _counted_before(routers)),
    )


@contextmanager
def _counted_before(routers: list[Router]) -> Iterator[None]:
    """Let routers not count the tokens of a pass: it is a second one over the same."""
    for router in routers:
        router.recomputing = True
    try:
        yield
    finally:
        for router in routers:
            router.recomputing = False


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
