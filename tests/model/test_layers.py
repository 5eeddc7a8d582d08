"""The small layers against a slow plain reference, in values and gradients."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from engram_sweep.model.layers import BranchLinear, GatedFFN, Linear, RMSNorm, at_least_fp32

M = TypeVar("M", bound=nn.Module)


def filled(module: M) -> M:
    """Random weights in double precision."""
    generator = torch.Generator().manual_seed(0)
    for parameter in module.double().parameters():
        parameter.data = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
    return module


def x_of(*shape: int) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(shape, generator=generator, dtype=torch.float64, requires_grad=True)


@pytest.mark.parametrize("branches", [1, 3])
def test_rms_norm_equals_its_definition(branches: int) -> None:
    norm = filled(RMSNorm(8, 0.25, branches))
    x = x_of(2, 5, *([branches] if branches > 1 else []), 8)
    a = x.detach().numpy()
    weight = norm.weight.detach().numpy()
    wanted = a / np.sqrt((a**2).mean(-1, keepdims=True) + 0.25) * weight
    np.testing.assert_allclose(norm(x).detach().numpy(), wanted)
    assert torch.autograd.gradcheck(norm, (x,))


def test_a_norm_keeps_the_precision_of_its_input() -> None:
    norm = RMSNorm(8, eps=1e-5)
    nn.init.ones_(norm.weight)
    assert norm(torch.randn(2, 8, dtype=torch.bfloat16)).dtype == torch.bfloat16


def test_branches_are_projections_side_by_side() -> None:
    layer = filled(BranchLinear(3, 8, 4, std=1.0))
    x = x_of(2, 5, 8)
    one_by_one = torch.stack([x @ weight.T for weight in layer.weight], dim=-2)
    torch.testing.assert_close(layer(x), one_by_one)
    assert torch.autograd.gradcheck(layer, (x,))


def test_the_feed_forward_is_swiglu() -> None:
    ffn = filled(GatedFFN(8, 6, 1.0, 1.0))
    x = x_of(2, 8)
    assert all(isinstance(part, Linear) for part in ffn.children())
    gate, up, down = (getattr(ffn, name).weight.detach().numpy() for name in ("gate", "up", "down"))
    a = x.detach().numpy()
    z = a @ gate.T
    wanted = (z / (1 + np.exp(-z)) * (a @ up.T)) @ down.T
    np.testing.assert_allclose(ffn(x).detach().numpy(), wanted)
    assert torch.autograd.gradcheck(ffn, (x,))


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        (torch.bfloat16, torch.float32),
        (torch.float32, torch.float32),
        (torch.float64, torch.float64),
    ],
)
def test_narrow_numbers_are_widened_and_wide_ones_stay(
    given: torch.dtype, wanted: torch.dtype
) -> None:
    assert at_least_fp32(torch.ones(2, dtype=given)).dtype == wanted
