"""Bytes that a forward pass keeps for the backward one, per token: what a micro-batch costs.

Counted as autograd keeps them, tensor by tensor: residual streams, routers and stream maps are
float32, products take bf16 copies of their inputs under autocast. `engram_sweep.rehearsal` traces
the built model and holds these sums against it.
"""

from __future__ import annotations

from engram_sweep.spec import Geometry

FP32 = 4
BYTES = {"fp32": 4, "bf16": 2}
"""Of a number in a product, by `training.precision`."""
SINKHORN_KEPT = 40
"""Normalisations of a stream map that are kept: 20 alternations over columns and rows."""


def stream_bytes(g: Geometry) -> int:
    """Return the bytes per token of the hidden state between two blocks, (n, D) in float32."""
    return FP32 * g.streams * g.d_model


def block_bytes(g: Geometry, block: int, precision: str) -> int:
    """Return the bytes per token that one block keeps, its input included, its output not.

    Args:
        g: the model's shape.
        block: its index, from 0.
        precision: `fp32` or `bf16`.
    """
    kept = 2 * _around_sublayer(g) + _attention(g, precision) + _feed_forward(g, block, precision)
    if g.memory and block in g.memory.layers:
        kept += _engram(g, precision)
    return kept


def work_bytes(g: Geometry) -> int:
    """Return the bytes per token that a block works in beside what it keeps, at its widest.

    That is when the backward pass enters it: what it writes, once as computed again, and gradients
    of that and of the streams behind it.
    """
    return 3 * stream_bytes(g)


def head_bytes(g: Geometry, precision: str) -> int:
    """Return the bytes per token that the mean over streams and the last norm keep, no logits."""
    return stream_bytes(g) + (3 * FP32 + BYTES[precision]) * g.d_model


def logit_bytes(g: Geometry, precision: str) -> int:
    """Return the bytes per token of the loss at its widest, in the backward pass.

    The log-softmax and its gradient in float32, and that of the logits as the product takes it.
    """
    return g.vocab_size * (2 * FP32 + BYTES[precision])


def _around_sublayer(g: Geometry) -> int:
    """Input, norm and residual of attention or feed-forward."""
    n, D = g.streams, g.d_model
    if n == 1:
        # The hidden state, and it normed.
        return 2 * FP32 * D
    # Of the maps: their logits, and every alternation with its sums and their lower bounds.
    maps = FP32 * (n * (n + 2) + 4 * n * n + SINKHORN_KEPT * (n * n + 2 * n))
    # The streams, and they normed for the maps; what is read of them, that normed, what is written.
    return FP32 * (2 * n * D + 3 * D) + maps


def _inputs(g: Geometry, products: int, precision: str) -> int:
    """Return what products of one normed input keep of it: under autocast each has its own copy."""
    return products * 2 * g.d_model if precision == "bf16" else FP32 * g.d_model


def _attention(g: Geometry, precision: str) -> int:
    a, H = BYTES[precision], g.n_heads
    if m := g.mla:
        # Queries and keys with their rotated parts; keys and values before; the output, twice.
        kept = a * H * (2 * g.head_dim + m.qk_nope_head_dim + 3 * m.v_head_dim)
        ranks = m.kv_lora_rank + m.q_lora_rank
        return kept + FP32 * H + (2 * FP32 + a) * ranks + _inputs(g, 2, precision)
    # Queries and keys, normed in float32; those and values as the product takes them.
    kept = g.head_dim * (2 * FP32 + a) * (H + g.n_kv_heads) + a * g.head_dim * g.n_kv_heads
    return kept + 2 * a * H * g.head_dim + FP32 * H + _inputs(g, 3, precision)


def _feed_forward(g: Geometry, block: int, precision: str) -> int:
    a, D = BYTES[precision], g.d_model
    shared = g.shared_width[block]
    kept = _inputs(g, 2, precision) if shared else 0
    # Gate, up, the gate's SiLU, their product.
    kept += 4 * a * shared
    if g.is_moe(block):
        k, w = g.top_k, g.expert_width
        # Rows in and out, gate and up in one, SiLU, their product; scores, and the router's input.
        kept += a * k * (2 * D + 4 * w) + FP32 * g.routed_experts
        kept += FP32 * D if precision == "bf16" or not shared else 0
    return kept


def _engram(g: Geometry, precision: str) -> int:
    memory = g.memory
    assert memory is not None
    a, D = BYTES[precision], g.d_model
    wide = D if memory.fusion == "single" else g.streams * D
    # The looked-up rows.
    kept = a * memory.d_memory
    if memory.gate:
        # Norms of queries and keys with their inputs in float32; keys and what is made of them; the
        # value, which the gate multiplies.
        kept += (4 * FP32 + 2 * a) * wide + a * D
    if memory.conv_kernel:
        # The norm of values with its input, the sum over taps, the streams behind it, in float32.
        kept += 4 * FP32 * wide
    return kept
