from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from engram_sweep.model.moe import MoE, Router, sequence_balance
from tests.model import reference
from tests.model.shapes import ENGRAM, arrays, fill, token_vectors


@pytest.mark.parametrize("shared", [0, 8])
def test_moe_equals_the_reference(shared):
    module = MoE(replace(ENGRAM, shared_width=(shared,) * 3), 1).eval()
    fill(module)
    module.router.bias.copy_(torch.linspace(-0.3, 0.3, 5))
    x = token_vectors(10)
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
        weights, experts = router(token_vectors(7)[None])
        scores = router.scores(token_vectors(7)).sigmoid()
    assert (experts == 3).any(1).all()
    torch.testing.assert_close(weights.sum(1), torch.ones(7))
    picked = scores.gather(1, experts)
    torch.testing.assert_close(weights, picked / picked.sum(1, keepdim=True))


@pytest.mark.parametrize("N", [4, 64])
def test_balancing_moves_by_a_fixed_step_whatever_the_number_of_experts(N):
    router = Router(replace(ENGRAM, routed_experts=N)).train()
    fill(router)
    router(token_vectors(50)[None])
    load = router.rebalance(0.01)
    assert load.sum() == 50 * ENGRAM.top_k
    mean = load.float().mean()
    wanted = torch.where(load < mean, 0.01, torch.where(load > mean, -0.01, 0.0))
    torch.testing.assert_close(router.bias, wanted)
    assert not router.rebalance(0.01).any(), "the load is forgotten once read"


def test_validation_does_not_count_towards_the_load():
    router = Router(ENGRAM).eval()
    fill(router)
    router(token_vectors(9)[None])
    assert not router.load.any()


def test_balancing_evens_out_a_skewed_router():
    router = Router(replace(ENGRAM, routed_experts=8)).train()
    fill(router)
    router.scores.weight.data[0] *= 0
    x = token_vectors(512).abs()

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
    router(token_vectors(6)[None])
    assert router.balance is None
    router.measure_balance = True
    router.eval()(token_vectors(6)[None])
    assert router.balance is None
    router.train()(token_vectors(6)[None])
    assert router.balance is not None
    router.balance.backward()
    assert router.scores.weight.grad is not None
