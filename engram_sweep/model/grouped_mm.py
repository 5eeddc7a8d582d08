"""Grouped matrix products: one call for all experts, eager and compiled, forward and backward.

Eager runs call `torch.nn.functional.grouped_mm`. Under `torch.compile` they go through an operator
of our own: up to torch 2.13 at least, the built-in one's shape function takes bfloat16 only, so
that float32 would not compile, and its float32 backward on the CPU refuses incoming gradients that
are not contiguous.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def grouped_mm(x: Tensor, weight: Tensor, ends: Tensor) -> Tensor:
    """Rows of `x`, sorted by expert, each times its expert's matrix.

    Args:
        x: (S, A), rows 16-byte aligned.
        weight: (N, A, B), rows 16-byte aligned.
        ends: (N,) int32, where each expert's rows end.

    Returns:
        (S, B).
    """
    return (
        _rows(x, weight, ends)
        if torch.compiler.is_compiling()
        else F.grouped_mm(x, weight, offs=ends)
    )


@torch.library.custom_op("engram_sweep::grouped_mm", mutates_args=())
def _rows(x: Tensor, weight: Tensor, ends: Tensor) -> Tensor:
    return F.grouped_mm(x, weight, offs=ends)


@_rows.register_fake
def _(x: Tensor, weight: Tensor, ends: Tensor) -> Tensor:
    return x.new_empty(x.shape[0], weight.shape[2])


@torch.library.custom_op("engram_sweep::grouped_mm_weight_gradient", mutates_args=())
def _weight_gradient(x: Tensor, gradient: Tensor, ends: Tensor) -> Tensor:
    """(S, A), (S, B) -> (N, A, B): for every expert the product over its own rows."""
    return F.grouped_mm(x.mT, gradient, offs=ends)


@_weight_gradient.register_fake
def _(x: Tensor, gradient: Tensor, ends: Tensor) -> Tensor:
    return x.new_empty(ends.shape[0], x.shape[1], gradient.shape[1])


def _keep(ctx, inputs: tuple[Tensor, Tensor, Tensor], output: Tensor) -> None:
    ctx.save_for_backward(*inputs)


def _backward(ctx, gradient: Tensor) -> tuple[Tensor, Tensor, None]:
    x, weight, ends = ctx.saved_tensors
    gradient = gradient.contiguous()
    return _rows(gradient, weight.mT, ends), _weight_gradient(x, gradient, ends), None


_rows.register_autograd(_backward, setup_context=_keep)
