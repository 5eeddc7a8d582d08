"""Micro-batches, recomputation and chunks of the loss change what is held, not what is computed."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from engram_sweep.model.initialization import initialise
from engram_sweep.model.transformer import Transformer, window_losses
from engram_sweep.training.lookups import WholeLookups
from engram_sweep.training.micro_batches import accumulate
from tests.model.shapes import CLASSES, GEOMETRIES, tokens

WINDOWS = tokens(4, 10, seed=3)


def model_of(kind: str, measure: bool = True) -> Transformer:
    geometry = GEOMETRIES[kind]
    model = Transformer(geometry, CLASSES).train()
    initialise(model, 0)
    if measure:
        model.measure_balance()
    return model


def gradients(model: Transformer) -> dict[str, Tensor]:
    found = {}
    for name, p in model.named_parameters():
        assert p.grad is not None, name
        found[name] = p.grad.to_dense() if p.grad.is_sparse else p.grad
        p.grad = None
    return found


def plain(model: Transformer) -> tuple[Tensor, dict[str, Tensor], list[Tensor]]:
    """One backward pass over the whole batch, as it is written down."""
    loss = window_losses(model(WINDOWS[:, :-1]), WINDOWS[:, 1:]).mean()
    (loss + 0.5 * model.balance_loss()).backward()
    return loss.detach(), gradients(model), loads(model)


def loads(model: Transformer) -> list[Tensor]:
    found = [router.load.clone() for router in model.routers()]
    for router in model.routers():
        router.load.zero_()
    return found


def accumulated(model: Transformer, micro: int) -> tuple[Tensor, dict[str, Tensor], list[Tensor]]:
    loss = accumulate(model, WINDOWS, WholeLookups(model), Tensor.backward, micro, 0.5)
    return loss, gradients(model), loads(model)


@pytest.mark.parametrize("kind", GEOMETRIES)
def test_the_whole_batch_at_once_is_bit_equal(kind: str) -> None:
    model = model_of(kind)
    wanted, got = plain(model), accumulated(model, 0)
    assert torch.equal(got[0], wanted[0])
    for name, gradient in wanted[1].items():
        assert torch.equal(got[1][name], gradient), name


@pytest.mark.parametrize("kind", GEOMETRIES)
def test_recomputation_is_bit_equal_and_counts_no_token_twice(kind: str) -> None:
    model = model_of(kind)
    wanted = plain(model)
    model.recompute = True
    got = accumulated(model, 0)
    assert torch.equal(got[0], wanted[0])
    for name, gradient in wanted[1].items():
        assert torch.equal(got[1][name], gradient), name
    assert all(map(torch.equal, got[2], wanted[2]))


@pytest.mark.parametrize("kind", ["engram", "over_encoding", "mla_streams"])
@pytest.mark.parametrize(("micro", "chunk"), [(1, 0), (2, 0), (4, 5), (2, 7), (4, 1000)])
@pytest.mark.parametrize("recompute", [False, True])
def test_gradients_add_up(kind: str, micro: int, chunk: int, recompute: bool) -> None:
    model = model_of(kind)
    wanted = plain(model)
    model.recompute, model.loss_chunk = recompute, chunk
    got = accumulated(model, micro)
    torch.testing.assert_close(got[0], wanted[0], rtol=1e-6, atol=0)
    for name, gradient in wanted[1].items():
        torch.testing.assert_close(got[1][name], gradient, rtol=1e-4, atol=1e-6, msg=name)
    assert all(map(torch.equal, got[2], wanted[2]))


def test_logits_of_a_chunk_only_exist_at_once() -> None:
    """The largest tensor that autograd keeps or makes has as many rows as a chunk."""
    geometry = replace(GEOMETRIES["moe"], vocab_size=400)
    model = Transformer(geometry).train()
    initialise(model, 0)
    model.loss_chunk = 5
    seen = []
    model.head.register_forward_hook(lambda module, inputs, output: seen.append(output.shape))
    accumulate(model, WINDOWS, WholeLookups(model), Tensor.backward)
    assert max(shape[0] for shape in seen) == 5
    assert sum(shape[0] for shape in seen) == 2 * 36, "once forward, once again backward"
