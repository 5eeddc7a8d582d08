from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from engram_sweep.model.attention import Attention, LatentAttention, rope_tables, rotate
from engram_sweep.spec import Geometry
from tests.model import reference
from tests.model.shapes import ENGRAM, MLA, arrays, fill


def grouped(n_heads: int, n_kv_heads: int, head_dim: int) -> Geometry:
    return replace(ENGRAM, n_heads=n_heads, n_kv_heads=n_kv_heads, head_dim=head_dim)


def latent(q_lora_rank: int, kv_lora_rank: int, nope: int, rope: int, value: int) -> Geometry:
    m = replace(MLA, q_lora_rank=q_lora_rank, kv_lora_rank=kv_lora_rank)
    m = replace(m, qk_nope_head_dim=nope, qk_rope_head_dim=rope, v_head_dim=value)
    return replace(ENGRAM, mla=m, head_dim=nope + rope, n_kv_heads=ENGRAM.n_heads)


def inputs(T: int, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return torch.randn(
        2, T, ENGRAM.d_model, generator=torch.Generator().manual_seed(T), dtype=dtype
    )


@settings(max_examples=20, deadline=None)
@given(
    st.sampled_from([(1, 1), (2, 1), (4, 2), (6, 3), (3, 3)]),
    st.sampled_from([2, 4, 10]),
    st.integers(1, 9),
)
def test_grouped_attention_equals_the_reference(heads, head_dim, T):
    geometry = grouped(heads[0], heads[1], head_dim)
    module, x = Attention(geometry).double(), inputs(T)
    fill(module)
    n_heads, n_kv_heads = heads
    wanted = [
        reference.grouped_attention(w, arrays(module), n_heads, n_kv_heads, geometry.rope_theta)
        for w in x.numpy()
    ]
    # RoPE's angles are float32.
    np.testing.assert_allclose(module(x).detach(), np.stack(wanted), rtol=1e-4, atol=1e-5)


@settings(max_examples=20, deadline=None)
@given(
    st.sampled_from([0, 1, 7]),
    st.integers(1, 6),
    st.integers(1, 5),
    st.sampled_from([2, 6]),
    st.integers(1, 6),
    st.integers(1, 9),
)
def test_latent_attention_equals_the_reference(q_rank, kv_rank, nope, rope, value, T):
    geometry = latent(q_rank, kv_rank, nope, rope, value)
    module, x = LatentAttention(geometry).double(), inputs(T)
    fill(module)
    H, theta = geometry.n_heads, geometry.rope_theta
    wanted = [
        reference.latent_attention(w, arrays(module), H, nope, rope, value, theta)
        for w in x.numpy()
    ]
    np.testing.assert_allclose(module(x).detach(), np.stack(wanted), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", ["grouped", "latent", "latent without query rank"])
def test_gradients_equal_finite_differences(kind):
    geometry = grouped(2, 1, 4) if kind == "grouped" else latent(3 * (kind == "latent"), 2, 2, 2, 3)
    module = (Attention if kind == "grouped" else LatentAttention)(geometry).double()
    fill(module)
    x = inputs(4).requires_grad_()
    parameters = dict(module.named_parameters())

    def run(x, *values):
        return torch.func.functional_call(module, dict(zip(parameters, values, strict=True)), (x,))

    assert torch.autograd.gradcheck(run, (x, *parameters.values()))


def test_rotation_turns_pairs_by_position():
    x = torch.randn(1, 1, 7, 6, generator=torch.Generator().manual_seed(0))
    turned = rotate(x, *rope_tables(7, 6, 50.0, x.device))
    for t in range(7):
        np.testing.assert_allclose(
            turned[0, 0, t], reference.rotate(x[0, 0, t].numpy(), t, 50.0), atol=1e-5
        )
    assert torch.equal(turned[..., 0, :], x[..., 0, :])


def test_scores_depend_on_distance_only():
    """The reason for RoPE: <q at s, k at t> is a function of s - t."""
    q, k = torch.randn(2, 8, generator=torch.Generator().manual_seed(1))
    cos, sin = rope_tables(30, 8, 10_000.0, q.device)
    q, k = (rotate(v.expand(1, 1, 30, 8), cos, sin)[0, 0] for v in (q, k))
    scores = q @ k.T
    for distance in (0, 3, 11):
        diagonal = scores.diagonal(-distance)
        torch.testing.assert_close(diagonal, diagonal[:1].expand_as(diagonal), rtol=1e-4, atol=1e-4)
