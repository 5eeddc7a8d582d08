from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from engram_sweep.model.transformer import Transformer
from engram_sweep.training.muon import Muon, orthogonalise
from engram_sweep.training.optimizers import matrices
from tests.model.shapes import CLASSES, GEOMETRIES


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 4), st.integers(1, 24), st.integers(1, 24))
def test_singular_values_go_to_about_one_and_vectors_stay(N, A, B):
    """Against the singular value decomposition.

    Well-conditioned, as five steps do not lift tiny values all the way.
    """
    u, _, v = torch.linalg.svd(random(N, A, B, seed=A * B).double(), full_matrices=False)
    spread = torch.linspace(1.0, 0.2, min(A, B), dtype=torch.float64)
    got = orthogonalise((u * spread) @ v)
    values = torch.linalg.svdvals(got)
    assert values.min() > 0.6
    assert values.max() < 1.25
    # In the basis of the decomposition what is left is diagonal.
    inner = u.mT @ got @ v.mT
    assert (inner - torch.diag_embed(inner.diagonal(dim1=-2, dim2=-1))).abs().max() < 1e-4


def test_zero_stays_zero():
    assert not orthogonalise(torch.zeros(2, 3, 4)).any()


@pytest.mark.parametrize("shape", [(12, 20), (20, 12), (16, 16)])
def test_equals_torch_on_plain_matrices(shape):
    """`torch.optim.Muon` iterates in bfloat16, ours on the CPU in float32.

    3 % of an update's size apart at most.
    """
    ours, theirs = (torch.nn.Parameter(random(*shape)) for _ in range(2))
    optimizers = (
        Muon([ours], lr=0.02, weight_decay=0.1, momentum=0.9),
        torch.optim.Muon(
            [theirs], lr=0.02, weight_decay=0.1, momentum=0.9, adjust_lr_fn="match_rms_adamw"
        ),
    )
    for step in range(4):
        for parameter, optimizer in zip((ours, theirs), optimizers, strict=True):
            parameter.grad = random(*shape, seed=step + 1)
            optimizer.step()
    moved = (theirs - random(*shape)).norm()
    assert float((ours - theirs).norm().detach() / moved.detach()) < 0.03


def test_a_stack_moves_as_its_matrices_one_by_one():
    """Experts: (N, A, 2 B) with gate and up side by side moves as 2 N matrices (A, B) would."""
    N, A, B = 3, 6, 10
    stack = torch.nn.Parameter(random(N, A, 2 * B))
    singles = [
        [torch.nn.Parameter(part.clone()) for part in expert.chunk(2, -1)]
        for expert in stack.detach()
    ]
    one = Muon([{"params": [stack], "blocks": 2}], lr=0.05)
    many = Muon([p for pair in singles for p in pair], lr=0.05)
    for step in range(3):
        gradient = random(N, A, 2 * B, seed=step)
        stack.grad = gradient.clone()
        for expert, pair in zip(gradient, singles, strict=True):
            for part, p in zip(expert.chunk(2, -1), pair, strict=True):
                p.grad = part.clone()
        one.step()
        many.step()
    together = torch.stack([torch.cat([p.detach() for p in pair], -1) for pair in singles])
    torch.testing.assert_close(stack.detach(), together, rtol=1e-4, atol=1e-5)


def one_by_one(
    parameters: list[torch.nn.Parameter], blocks: list[int], momenta: list[torch.Tensor], lr: float
) -> None:
    """A step of the default settings, matrix after matrix, by the iteration's definition."""
    for p, count, momentum in zip(parameters, blocks, momenta, strict=True):
        assert p.grad is not None
        momentum.mul_(0.95).add_(0.05 * p.grad)
        ahead = 0.05 * p.grad + 0.95 * momentum
        whole = p.detach().reshape(-1, *p.shape[-2:])
        for target, source in zip(whole, ahead.reshape(-1, *p.shape[-2:]), strict=True):
            for part, matrix in zip(target.chunk(count, -1), source.chunk(count, -1), strict=True):
                x = matrix / matrix.norm()
                for _ in range(5):
                    gram = x @ x.T
                    x = 3.4445 * x - 4.7750 * gram @ x + 2.0315 * gram @ gram @ x
                part.mul_(1 - lr * 0.1).sub_(lr * 0.2 * max(x.shape) ** 0.5 * x)


@pytest.mark.parametrize("most", [1, 500, 1 << 20])
def test_a_batched_step_equals_its_matrices_one_by_one(monkeypatch, most):
    """Equal shapes of different parameters, their transposes, and stacks above a batch's size."""
    monkeypatch.setattr("engram_sweep.training.muon.MAX_BATCHED_CPU", most)
    shapes = [(12, 8), (8, 12), (12, 8), (5, 12, 16), (5, 8, 12), (2, 3, 8, 12), (6, 6), (1, 7)]
    blocks = [1, 1, 1, 2, 1, 1, 1, 1]
    ours, plain = (
        [torch.nn.Parameter(random(*shape, seed=i)) for i, shape in enumerate(shapes)]
        for _ in range(2)
    )
    stacks = [{"params": [p], "blocks": count} for p, count in zip(ours, blocks, strict=True)]
    optimizer = Muon(stacks, lr=0.02)
    momenta = [torch.zeros(shape) for shape in shapes]
    for step in range(5):
        for i, shape in enumerate(shapes):
            ours[i].grad = random(*shape, seed=100 * step + i)
            plain[i].grad = random(*shape, seed=100 * step + i)
        optimizer.step()
        one_by_one(plain, blocks, momenta, 0.02)
    for mine, wanted in zip(ours, plain, strict=True):
        torch.testing.assert_close(mine, wanted, rtol=1e-4, atol=1e-5)


def test_a_parameter_without_a_gradient_stays():
    moved, still = (torch.nn.Parameter(random(4, 6)) for _ in range(2))
    moved.grad = random(4, 6, seed=1)
    Muon([moved, still], lr=0.1).step()
    assert torch.equal(still, random(4, 6))
    assert not torch.equal(moved, random(4, 6))


def test_an_update_is_as_large_as_adamws():
    p = torch.nn.Parameter(torch.zeros(64, 256))
    optimizer = Muon([p], lr=1.0, weight_decay=0.0)
    p.grad = random(64, 256)
    optimizer.step()
    assert float(p.detach().square().mean().sqrt()) == pytest.approx(0.2, rel=0.2)


def test_vectors_are_refused():
    with pytest.raises(ValueError, match=r"expected matrices, got a parameter of shape \(3,\)"):
        Muon([torch.nn.Parameter(torch.zeros(3))])


@pytest.mark.parametrize("kind", GEOMETRIES)
def test_muon_gets_the_linear_maps_and_nothing_else(kind):
    model = Transformer(GEOMETRIES[kind], CLASSES)
    names = {id(p): name for name, p in model.named_parameters()}
    chosen = {names[id(p)] for params in matrices(model).values() for p in params}
    left = set(names.values()) - chosen
    for name in left:
        outside = ("embedding", "head", "table", "norm", "conv", "_mix.bias", "_mix.scale")
        assert any(part in name for part in outside), name
    assert not [
        name
        for name in chosen
        if any(part in name for part in ("norm", "conv", "table", "mix.b", "mix.s"))
    ]
