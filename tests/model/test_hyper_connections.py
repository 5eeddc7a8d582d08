from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from engram_sweep.model.hyper_connections import StreamMix, residual, sinkhorn
from engram_sweep.model.initialization import initialise
from engram_sweep.model.transformer import Transformer
from tests.model import reference
from tests.model.shapes import CLASSES, ENGRAM, arrays, fill, tokens


def mix_of(streams: int, d_model: int = 8) -> StreamMix:
    module = StreamMix(replace(ENGRAM, streams=streams, d_model=d_model), site=1).double()
    fill(module)
    return module


def states(streams: int, d_model: int = 8) -> torch.Tensor:
    return torch.randn(
        2, 5, streams, d_model, generator=torch.Generator().manual_seed(0), dtype=torch.float64
    )


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 6), st.integers(0, 999), st.floats(0.1, 3.0))
def test_sinkhorn_is_doubly_stochastic(n, seed, spread):
    logits = spread * torch.randn(
        3, n, n, generator=torch.Generator().manual_seed(seed), dtype=torch.float64
    )
    projected = sinkhorn(logits)
    assert (projected >= 0).all()
    torch.testing.assert_close(projected.sum(-1), torch.ones(3, n, dtype=torch.float64))
    # Twenty alternations bring well-conditioned columns within rounding, spread-out ones within a
    # few per cent.
    torch.testing.assert_close(
        projected.sum(-2), torch.ones(3, n, dtype=torch.float64), rtol=0, atol=0.05
    )
    for matrix, logit in zip(projected, logits, strict=True):
        np.testing.assert_allclose(matrix, reference.sinkhorn(logit.numpy()), rtol=1e-9)


def test_sinkhorn_survives_extreme_logits():
    logits = torch.tensor([[1e4, -1e4], [-1e4, 1e4]], requires_grad=True)
    projected = sinkhorn(logits)
    torch.testing.assert_close(projected, torch.eye(2))
    projected.square().sum().backward()
    assert logits.grad is not None
    assert logits.grad.isfinite().all()


@pytest.mark.parametrize("n", [2, 4])
def test_one_step_equals_the_reference(n):
    module, h = mix_of(n), states(n)
    w = torch.randn(8, 8, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    got = module(h, lambda x: torch.tanh(x @ w)).detach()
    for window, y in zip(h.numpy(), got, strict=True):
        wanted = reference.stream_step(window, arrays(module), lambda x: np.tanh(x @ w.numpy()))
        np.testing.assert_allclose(y, wanted, rtol=1e-9, atol=1e-12)


def test_gradients_equal_finite_differences():
    module, h = mix_of(3, d_model=4), states(3, 4).requires_grad_()
    parameters = dict(module.named_parameters())

    def run(h, *values):
        weights = dict(zip(parameters, values, strict=True))
        return torch.func.functional_call(module, weights, (h, torch.tanh))

    assert torch.autograd.gradcheck(run, (h, *parameters.values()))


def test_the_mean_over_streams_is_carried_through():
    """What the projection is for.

    With a silent sublayer the mean of the streams survives any number of steps.
    """
    module, h = mix_of(4), states(4)
    module.bias.data.mul_(0.1)
    mean = h.mean(2)
    with torch.no_grad():
        for _ in range(50):
            h = module(h, torch.zeros_like)
    torch.testing.assert_close(h.mean(2), mean, rtol=1e-3, atol=1e-3)


def test_one_stream_is_the_plain_residual():
    h = states(1)[:, :, 0]
    assert torch.equal(residual(None, h, torch.tanh), h + torch.tanh(h))
    assert not [
        name for name, _ in Transformer(ENGRAM, CLASSES).named_parameters() if "mix" in name
    ]


def test_streams_part_in_training():
    """Equal at the start, streams must not stay equal.

    Their gradients differ from the first step on.
    """
    model = Transformer(replace(ENGRAM, streams=4, memory=None))
    initialise(model, 0)
    # The start's output maps are all one; what tells the streams apart is which sublayer reads
    # which.
    model(tokens(2, 8)).square().mean().backward()
    gradient = dict(model.named_parameters())["blocks.0.attention_mix.bias"].grad
    assert gradient is not None
    gradient = gradient[4:8]
    assert gradient.std() > 1e-3 * gradient.abs().max() > 0
