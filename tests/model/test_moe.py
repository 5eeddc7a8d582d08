from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from engram_sweep.model.grouped_mm import _rows
from engram_sweep.model.moe import MoE, RoutedExperts, Router, sequence_balance
from tests.model import reference
from tests.model.shapes import ENGRAM, arrays, fill


def tokens(S: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(S, ENGRAM.d_model, generator=torch.Generator().manual_seed(seed))


def loop_over_experts(
    module: RoutedExperts, x: torch.Tensor, weights: torch.Tensor, experts: torch.Tensor
):
    """What the grouped products compute, one expert after the other, in the parameters' own autograd graph."""
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
    experts = torch.stack([torch.tensor(allowed)[torch.randperm(len(allowed), generator=generator)[:top_k]]
                           for _ in range(S)])  # fmt: skip
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
        x, w = tokens(S).requires_grad_(), weights.clone().requires_grad_()
        y = run(x, w, experts)
        (y * tokens(S, seed=1)).sum().backward()
        gradients = [x.grad, w.grad, module.gate_up.grad, module.down.grad]
        module.zero_grad()
        outcomes.append([y.detach(), *gradients])
    for got, wanted in zip(*outcomes, strict=True):
        torch.testing.assert_close(got, wanted, rtol=1e-4, atol=1e-5)
    idle = [e for e in range(N) if e not in experts]
    assert not outcomes[0][3][idle].any()


def test_a_zero_stride_gradient_is_no_trap():
    """`y.sum().backward()` hands fp32 grouped products an expanded gradient, which they refuse when they get it."""
    module, x = RoutedExperts(ENGRAM, 1.0), tokens(6)
    fill(module)
    module(x, *choose(6, 2, [0, 1, 2], 0)).sum().backward()
    assert module.down.grad is not None


@pytest.mark.parametrize("shared", [0, 8])
def test_moe_equals_the_reference(shared):
    module = MoE(replace(ENGRAM, shared_width=(shared,) * 3), 1).eval()
    fill(module)
    module.router.bias.copy_(torch.linspace(-0.3, 0.3, 5))
    x = tokens(10)
    with torch.no_grad():
        got = module(x.view(2, 5, -1)).view(10, -1)
    wanted = reference.moe(
        x.double().numpy(), arrays(module), module.router.bias.double().numpy(), ENGRAM.top_k
    )
    np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-5)


def test_the_bias_chooses_and_does_not_weigh():
    router = Router(ENGRAM).eval()
    fill(router)
    router.bias[3] = 10.0
    with torch.no_grad():
        weights, experts = router(tokens(7)[None])
        scores = router.scores(tokens(7)).sigmoid()
    assert (experts == 3).any(1).all()
    torch.testing.assert_close(weights.sum(1), torch.ones(7))
    picked = scores.gather(1, experts)
    torch.testing.assert_close(weights, picked / picked.sum(1, keepdim=True))


@pytest.mark.parametrize("N", [4, 64])
def test_balancing_moves_by_a_fixed_step_whatever_the_number_of_experts(N):
    router = Router(replace(ENGRAM, routed_experts=N)).train()
    fill(router)
    router(tokens(50)[None])
    load = router.rebalance(0.01)
    assert load.sum() == 50 * ENGRAM.top_k
    mean = load.float().mean()
    wanted = torch.where(load < mean, 0.01, torch.where(load > mean, -0.01, 0.0))
    torch.testing.assert_close(router.bias, wanted)
    assert not router.rebalance(0.01).any(), "the load is forgotten once read"


def test_validation_does_not_count_towards_the_load():
    router = Router(ENGRAM).eval()
    fill(router)
    router(tokens(9)[None])
    assert not router.load.any()


def test_balancing_evens_out_a_skewed_router():
    router = Router(replace(ENGRAM, routed_experts=8)).train()
    fill(router)
    router.scores.weight.data[0] *= 0
    x = tokens(512).abs()

    def spread() -> float:
        router(x[None])
        load = router.rebalance(0.005).float()
        return float(load.max() / load.mean())

    first = spread()
    last = [spread() for _ in range(300)][-20:]
    assert max(last) < 1.35 < first


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_balance_loss_equals_the_reference(data):
    N = data.draw(st.integers(1, 8))
    top_k, B, T = (
        data.draw(st.integers(1, N)),
        data.draw(st.integers(1, 3)),
        data.draw(st.integers(1, 6)),
    )
    scores = (
        torch.rand(B * T, N, generator=torch.Generator().manual_seed(N * T), dtype=torch.float64)
        + 0.01
    )
    experts = scores.topk(top_k).indices
    wanted = [
        reference.balance_loss(s.numpy(), e.tolist())
        for s, e in zip(scores.view(B, T, N), experts.view(B, T, top_k), strict=True)
    ]
    assert float(sequence_balance(scores, experts, B)) == pytest.approx(np.mean(wanted))


@pytest.mark.parametrize(("N", "top_k"), [(4, 1), (64, 8), (256, 2)])
def test_balance_loss_is_one_at_even_load_whatever_the_number_of_experts(N, top_k):
    experts = (torch.arange(N * top_k) % N).view(N, top_k)
    scores = torch.rand(N, N, generator=torch.Generator().manual_seed(0))
    assert float(sequence_balance(scores, experts, 1)) == pytest.approx(1, rel=1e-5)
    assert float(sequence_balance(torch.ones(N, N), experts[:1].expand(N, -1), 1)) == pytest.approx(
        1, rel=1e-5
    )
    # All tokens and all score on the same top_k experts: as uneven as can be.
    scores = torch.zeros(N, N).index_fill_(1, torch.arange(top_k), 1.0)
    assert float(sequence_balance(scores, torch.arange(top_k).expand(N, -1), 1)) == pytest.approx(
        N / top_k, rel=1e-5
    )


def test_balance_loss_is_left_by_training_only_where_asked_for():
    router = Router(ENGRAM)
    fill(router)
    router(tokens(6)[None])
    assert router.balance is None
    router.measure_balance = True
    router.eval()(tokens(6)[None])
    assert router.balance is None
    router.train()(tokens(6)[None])
    assert router.balance is not None
    router.balance.backward()
    assert router.scores.weight.grad is not None


@settings(max_examples=15, deadline=None)
@given(st.lists(st.integers(0, 5), min_size=1, max_size=6))
def test_our_operator_equals_the_built_in_one(sizes):
    """The one that compiled models call: values, gradients of both operands, and an expanded incoming gradient."""
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
