"""The parameter ledger: every tensor by its name, what a token activates of it, its FLOPs.

Pure arithmetic over a `Geometry`; the tests hold it against the built model, name by name.

Conventions (paper section 3.1): P_tot and P_act leave out the vocabulary embedding and the LM head.
As in the paper's C = 6 P_act tokens, every activated parameter is one multiply-add, 2 FLOPs forward
and 4 backward. Looked-up rows count like the rest: their gathers, scattered gradients and updates
are memory traffic rather than FLOPs, but not free. FLOPs per token also include the LM head and the
causal half of attention's scores and values, the same at every rho.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from math import prod

from engram_sweep.spec import EngramGeometry, Geometry

BACKWARD = 2
"""FLOPs of the backward pass over those of the forward pass."""


@dataclass(frozen=True)
class Entry:
    """One tensor of the model, or (with an empty shape) work that has no parameters."""

    name: str
    """The parameter's name in the built model."""
    part: str
    """embedding, head, attention, streams, norm, router, shared, routed, engram, over_encoding or
    table."""
    shape: tuple[int, ...]
    activated: int
    """Parameters that one token uses."""
    flops: int
    """Forward FLOPs per token."""

    @property
    def count(self) -> int:
        """Parameters in the tensor."""
        return prod(self.shape) if self.shape else 0

    @property
    def in_budget(self) -> bool:
        """Whether P_tot and P_act count it."""
        return self.part not in ("embedding", "head")


@dataclass(frozen=True)
class Ledger:
    """All entries of one model and their sums."""

    entries: tuple[Entry, ...]

    @cached_property
    def params_total(self) -> int:
        """P_tot."""
        return sum(e.count for e in self.entries if e.in_budget)

    @cached_property
    def params_active(self) -> int:
        """P_act."""
        return sum(e.activated for e in self.entries if e.in_budget)

    @cached_property
    def params_table(self) -> int:
        """Parameters in n-gram tables."""
        return sum(e.count for e in self.entries if e.part == "table")

    @cached_property
    def flops_forward(self) -> int:
        """Forward FLOPs per token."""
        return sum(e.flops for e in self.entries)

    @cached_property
    def flops_per_token(self) -> int:
        """FLOPs per trained token, forward and backward."""
        return (1 + BACKWARD) * self.flops_forward

    def sums(self) -> dict[str, int]:
        """Return the sums that plans, work orders and records name."""
        return {
            "params_total": self.params_total,
            "params_active": self.params_active,
            "params_table": self.params_table,
            "flops_per_token": self.flops_per_token,
        }


def ledger(geometry: Geometry, window: int) -> Ledger:
    """Count one model.

    Args:
        geometry: its shape.
        window: tokens per window, for the attention scores.
    """
    return Ledger(tuple(_entries(geometry, window)))


def _weight(name: str, part: str, *shape: int) -> Entry:
    """Return a tensor that every token uses whole."""
    return Entry(name, part, shape, prod(shape), 2 * prod(shape))


def _table(name: str, rows: int, width: int, lookups: int) -> Entry:
    """Return a tensor of which a token looks up `lookups` rows."""
    return Entry(name, "table", (rows, width), lookups * width, 2 * lookups * width)


def _entries(g: Geometry, window: int) -> Iterator[Entry]:
    D = g.d_model
    yield Entry("embedding.weight", "embedding", (g.vocab_size, D), D, 0)
    if g.memory and g.memory_at_input:
        yield from _over_encoding(g, g.memory)
    for i in range(g.n_layers):
        yield from _block(g, i, window)
    yield _weight("norm.weight", "norm", D)
    yield _weight("head.weight", "head", g.vocab_size, D)


def _over_encoding(g: Geometry, memory: EngramGeometry) -> Iterator[Entry]:
    """Yield the tables and, side by side in one matrix, a projection to D for each of them."""
    at = "over_encoding"
    yield _table(f"{at}.table.weight", memory.table_rows(0), memory.head_dim, memory.lookups)
    yield _weight(f"{at}.projection.weight", at, g.d_model, memory.d_memory)


def _block(g: Geometry, i: int, window: int) -> Iterator[Entry]:
    D, at = g.d_model, f"blocks.{i}"
    if g.memory and i in g.memory.layers:
        yield from _engram(g, i)
    yield from _mix(g, f"{at}.attention_mix")
    yield _weight(f"{at}.attention_norm.weight", "norm", D)
    yield from (
        _latent_attention(g, f"{at}.attention")
        if g.mla
        else _grouped_attention(g, f"{at}.attention")
    )
    # Scores and weighted values: 2 products of 2 FLOPs over (window + 1) / 2 keys on average.
    value_dim = g.mla.v_head_dim if g.mla else g.head_dim
    yield Entry(
        f"{at}.attention.scores",
        "attention",
        (),
        0,
        (window + 1) * g.n_heads * (g.head_dim + value_dim),
    )
    # A token activates top_k of the stacked experts, and every shared width.
    yield from _mix(g, f"{at}.feed_forward_mix")
    yield _weight(f"{at}.feed_forward_norm.weight", "norm", D)
    shared = f"{at}.feed_forward"
    if g.is_moe(i):
        N, k, w = g.routed_experts, g.top_k, g.expert_width
        yield _weight(f"{shared}.router.scores.weight", "router", N, D)
        for name, shape in (("gate_up", (D, 2 * w)), ("down", (w, D))):
            active = k * prod(shape)
            yield Entry(f"{shared}.experts.{name}", "routed", (N, *shape), active, 2 * active)
        shared += ".shared"
    if width := g.shared_width[i]:
        yield _weight(f"{shared}.gate.weight", "shared", width, D)
        yield _weight(f"{shared}.up.weight", "shared", width, D)
        yield _weight(f"{shared}.down.weight", "shared", D, width)


def _grouped_attention(g: Geometry, at: str) -> Iterator[Entry]:
    for name, heads in (("query", g.n_heads), ("key", g.n_kv_heads), ("value", g.n_kv_heads)):
        yield _weight(f"{at}.{name}.weight", "attention", heads * g.head_dim, g.d_model)
    yield _weight(f"{at}.output.weight", "attention", g.d_model, g.n_heads * g.head_dim)
    yield _weight(f"{at}.query_norm.weight", "attention", g.head_dim)
    yield _weight(f"{at}.key_norm.weight", "attention", g.head_dim)


def _latent_attention(g: Geometry, at: str) -> Iterator[Entry]:
    m, D, H = g.mla, g.d_model, g.n_heads
    assert m is not None
    if m.q_lora_rank:
        yield _weight(f"{at}.query_down.weight", "attention", m.q_lora_rank, D)
        yield _weight(f"{at}.query_norm.weight", "attention", m.q_lora_rank)
    yield _weight(f"{at}.query.weight", "attention", H * g.head_dim, m.q_lora_rank or D)
    yield _weight(f"{at}.kv_down.weight", "attention", m.kv_lora_rank + m.qk_rope_head_dim, D)
    yield _weight(f"{at}.kv_norm.weight", "attention", m.kv_lora_rank)
    yield _weight(
        f"{at}.kv.weight", "attention", H * (m.qk_nope_head_dim + m.v_head_dim), m.kv_lora_rank
    )
    yield _weight(f"{at}.output.weight", "attention", D, H * m.v_head_dim)


def _mix(g: Geometry, at: str) -> Iterator[Entry]:
    """Yield the hyper-connection around one sublayer; nothing with one stream."""
    if (n := g.streams) > 1:
        maps = n * (n + 2)
        yield _weight(f"{at}.weight", "streams", maps, n * g.d_model)
        yield _weight(f"{at}.bias", "streams", maps)
        yield _weight(f"{at}.scale", "streams", 3)
        # Reading one input from n streams, writing it back to n, mixing n x n, each over D
        # channels.
        yield Entry(f"{at}.maps", "streams", (), 0, 2 * maps * g.d_model)


def _engram(g: Geometry, i: int) -> Iterator[Entry]:
    """Yield one table and one W_V for all streams; a W_K, norms and a convolution for each.

    Under `fusion: single` these are one for all too. Without a gate or a convolution their tensors
    are not there.
    """
    memory, D, at = g.memory, g.d_model, f"blocks.{i}.engram"
    assert memory is not None
    branches = (g.streams,) if g.streams > 1 and memory.fusion == "branches" else ()
    yield _table(
        f"{at}.table.weight",
        memory.table_rows(memory.layers.index(i)),
        memory.head_dim,
        memory.lookups,
    )
    if memory.gate:
        yield _weight(f"{at}.key.weight", "engram", *branches, D, memory.d_memory)
    yield _weight(f"{at}.value.weight", "engram", D, memory.d_memory)
    if memory.gate:
        for norm in ("query_norm", "key_norm"):
            yield _weight(f"{at}.{norm}.weight", "engram", *branches, D)
    if memory.conv_kernel:
        yield _weight(f"{at}.conv.norm.weight", "engram", *branches, D)
        yield _weight(f"{at}.conv.weight", "engram", *branches, D, memory.conv_kernel)
