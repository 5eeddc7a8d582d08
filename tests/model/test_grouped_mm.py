from __future__ import annotations

from dataclasses import replace

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from engram_sweep.model.grouped_mm import _rows
from engram_sweep.model.moe import RoutedExperts
from tests.model.shapes import ENGRAM, fill, token_vectors


def loop_over_experts(
    module: RoutedExperts, x: torch.Tensor, weights: torch.Tensor, experts: torch.Tensor
):
    """The grouped products, one expert after the other, in the parameters' own autograd graph."""
    y = torch.zeros_like(x)
    for e in range(len(module.gate_up)):
        picked = (experts == e).nonzero()
        for s, slot in picked.tolist():
            gate, up = (x[s] @ module.gate_up[e]).chunk(2)
            y[s] = y[s] + weights[s, slot] * (
                (torch.nn.functional.silu(gate) * up) @ module.down[e]
            )
    return y


def choose(S: int, top_k: int, allowed: list[int], seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Random weights and choices among `allowed` experts: the others stay empty."""
    generator = torch.Generator().manual_seed(seed)
    experts = torch.stack(
        [
            torch.tensor(allowed)[torch.randperm(len(allowed), generator=generator)[:top_k]]
            for _ in range(S)
        ]
    )
    return torch.rand(S, top_k, generator=generator), experts


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_grouped_products_equal_a_loop_over_experts(data):
    """Values, and gradients of inputs, weights and every expert, empty ones included."""
    N = data.draw(st.integers(1, 9))
    allowed = sorted(data.draw(st.sets(st.integers(0, N - 1), min_size=1)))
    top_k, S = data.draw(st.integers(1, len(allowed))), data.draw(st.integers(1, 12))
    module = RoutedExperts(replace(ENGRAM, routed_experts=N, top_k=top_k), 1.0)
    fill(module)
    weights, experts = choose(S, top_k, allowed, seed=S)
    outcomes = []
    for run in (module, lambda *a: loop_over_experts(module, *a)):
        x, w = token_vectors(S).requires_grad_(), weights.clone().requires_grad_()
        y = run(x, w, experts)
        (y * token_vectors(S, seed=1)).sum().backward()
        gradients = [x.grad, w.grad, module.gate_up.grad, module.down.grad]
        module.zero_grad()
        outcomes.append([y.detach(), *gradients])
    for got, wanted in zip(*outcomes, strict=True):
        torch.testing.assert_close(got, wanted, rtol=1e-4, atol=1e-5)
    idle = [e for e in range(N) if e not in experts]
    assert not outcomes[0][3][idle].any()


def test_a_zero_stride_gradient_is_no_trap():
    """`y.sum().backward()` hands fp32 grouped products an expanded gradient, which they refuse."""
    module, x = RoutedExperts(ENGRAM, 1.0), token_vectors(6)
    fill(module)
    module(x, *choose(6, 2, [0, 1, 2], 0)).sum().backward()
    assert module.down.grad is not None


@settings(max_examples=15, deadline=None)
@given(st.lists(st.integers(0, 5), min_size=1, max_size=6))
def test_our_operator_equals_the_built_in_one(sizes):
    """The one that compiled models call.

    Values, gradients of both operands, and an expanded incoming gradient.
    """
    ends = torch.tensor(sizes).cumsum(0).to(torch.int32)
    generator = torch.Generator().manual_seed(len(sizes))
    outcomes = []
    start = (
        torch.randn(sum(sizes), 8, generator=generator),
        torch.randn(len(sizes), 8, 4, generator=generator),
    )
    for run in (_rows, lambda x, w, ends: torch.nn.functional.grouped_mm(x, w, offs=ends)):
        x, w = (value.clone().requires_grad_() for value in start)
        y = run(x, w, ends)
        (y * torch.arange(1.0, 5.0)).sum().backward()
        outcomes.append((y.detach(), x.grad, w.grad))
    for got, wanted in zip(*outcomes, strict=True):
        torch.testing.assert_close(got, wanted)


def test_our_operator_keeps_the_rules_of_operators():
    ends = torch.tensor([5, 5, 12], dtype=torch.int32)
    torch.library.opcheck(
        _rows, (torch.randn(12, 8).requires_grad_(), torch.randn(3, 8, 4).requires_grad_(), ends)
    )
