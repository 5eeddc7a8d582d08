from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from engram_sweep.model.initialization import initialise
from engram_sweep.model.transformer import Transformer, window_losses
from engram_sweep.planning.ledger import ledger
from engram_sweep.spec import Geometry, canonical_json, from_json
from tests.model import reference
from tests.model.shapes import CLASSES, GEOMETRIES, arrays, build, every_arm, scale, tokens

MLA = {"kv_lora_rank": 8, "qk_nope_head_dim": 12, "qk_rope_head_dim": 4, "v_head_dim": 16}
BACKBONES = {
    "plain": {},
    "streams": {"streams": 4},
    "mla": {"mla": {"q_lora_rank": 12, **MLA}, "head_dim": None, "n_kv_heads": None},
    "mla_streams_dense": {
        "mla": MLA,
        "head_dim": None,
        "n_kv_heads": None,
        "streams": 2,
        "dense_layers": 1,
        "dense_width": 64,
    },
}


@pytest.mark.parametrize("kind", GEOMETRIES)
def test_whole_model_equals_the_plain_reference(kind):
    geometry = GEOMETRIES[kind]
    model, ids = build(geometry), tokens(2, 9)
    ids[0, 4] = 1  # ends a document
    with torch.no_grad():
        logits = model(ids).double().numpy()
    for window, got in zip(ids.tolist(), logits, strict=True):
        wanted = reference.transformer(window, arrays(model), geometry, CLASSES.tolist())
        np.testing.assert_allclose(got, wanted, rtol=2e-4, atol=2e-4)


@pytest.mark.parametrize("kind", ["engram", "streams", "mla", "mla_streams"])
def test_the_norms_eps_and_the_scaling_factor_reach_every_layer(kind, monkeypatch):
    """An eps as large as the activations: a norm that kept its own would show."""
    geometry = replace(GEOMETRIES[kind], norm_eps=0.3, routed_scaling_factor=2.5)
    monkeypatch.setattr(reference, "NORM_EPS", 0.3)
    model, ids = build(geometry), tokens(1, 9)
    with torch.no_grad():
        got = model(ids)[0].double().numpy()
    wanted = reference.transformer(ids[0].tolist(), arrays(model), geometry, CLASSES.tolist())
    np.testing.assert_allclose(got, wanted, rtol=2e-4, atol=2e-4)


@pytest.mark.parametrize("kind", GEOMETRIES)
def test_a_token_changes_nothing_before_it(kind):
    model, ids = build(GEOMETRIES[kind]), tokens(1, 12)
    with torch.no_grad():
        before = model(ids)
        for t in range(1, 12):
            other = ids.clone()
            other[0, t] = (ids[0, t] + 7) % 40
            after = model(other)
            # Routing sorts tokens by expert, so that the products of earlier tokens may round
            # differently.
            torch.testing.assert_close(after[:, :t], before[:, :t], rtol=1e-5, atol=1e-5)
            assert not torch.equal(after[:, t], before[:, t])


@pytest.mark.parametrize("kind", GEOMETRIES)
def test_windows_of_a_batch_do_not_see_each_other(kind):
    model, ids = build(GEOMETRIES[kind]), tokens(3, 8)
    with torch.no_grad():
        together = model(ids)
        alone = torch.cat([model(window[None]) for window in ids])
    torch.testing.assert_close(together, alone, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kind", ["engram", "over_encoding", "streams", "mla"])
def test_gradients_equal_finite_differences(kind):
    """Directional derivatives, in float32 as the experts' products need it.

    All experts chosen, so that none flips.
    """
    model, ids = build(replace(GEOMETRIES[kind], top_k=5)), tokens(2, 7)
    targets = tokens(2, 7, seed=1)
    loss = window_losses(model(ids), targets).mean()
    loss.backward()
    for index, (name, parameter) in enumerate(model.named_parameters()):
        assert parameter.grad is not None, name
        gradient = parameter.grad.to_dense() if parameter.grad.is_sparse else parameter.grad
        direction = torch.randn(parameter.shape, generator=torch.Generator().manual_seed(index))
        # Along the gradient, with a random part: a small true derivative would drown in rounding.
        direction = gradient / gradient.norm() + 0.5 * direction / direction.norm()
        step, sides = 2e-3, []
        for sign in (1, -1):
            with torch.no_grad():
                parameter += sign * step * direction
                sides.append(float(window_losses(model(ids), targets).double().mean()))
                parameter -= sign * step * direction
        wanted = (sides[0] - sides[1]) / (2 * step)
        assert wanted == pytest.approx(float((gradient * direction).sum()), rel=0.03, abs=3e-4), (
            name
        )


@pytest.mark.parametrize("name", ["tiny", "smoke"])
@pytest.mark.parametrize("backbone", BACKBONES)
def test_ledger_is_the_built_model(name, backbone):
    which = scale(
        name, model=BACKBONES[backbone], sweep={"iso": "paper"} if backbone != "plain" else {}
    )
    for point in every_arm(which):
        with torch.device("meta"):
            built = {
                key: tuple(p.shape) for key, p in Transformer(point.geometry).named_parameters()
            }
        counted = {e.name: e.shape for e in point.ledger.entries if e.shape}
        assert counted == built, point.arm
        outside = ("embedding.weight", "head.weight")
        total = sum(int(np.prod(shape)) for key, shape in built.items() if key not in outside)
        assert total == point.ledger.params_total


def test_geometry_survives_json():
    for geometry in GEOMETRIES.values():
        assert from_json(Geometry, json.loads(canonical_json(geometry))) == geometry


def test_streams_start_as_the_plain_residual():
    """At its start a model of n streams is the plain residual, but for 0.01-scaled maps."""
    plain, streamed = (
        Transformer(replace(GEOMETRIES["moe"], streams=n), CLASSES).eval() for n in (1, 4)
    )
    for model in (plain, streamed):
        initialise(model, 0)
    with torch.no_grad():
        for name, parameter in streamed.named_parameters():
            if name.endswith("_mix.scale"):
                parameter.zero_()
        ids = tokens(2, 10)
        torch.testing.assert_close(streamed(ids), plain(ids), rtol=1e-4, atol=1e-4)


def test_flops_of_the_ledger_count_every_matrix_once():
    """Against a count from the shapes of what the modules multiply, for MLA and streams."""
    g = GEOMETRIES["mla_streams"]
    counted = ledger(g, window=9)
    entries = {e.name: e for e in counted.entries}
    assert entries["blocks.0.attention.query.weight"].flops == 2 * 4 * 6 * 6
    assert entries["blocks.0.attention.kv_down.weight"].flops == 2 * 8 * (5 + 2)
    assert entries["blocks.0.attention.scores"].flops == 2 * 4 * (6 + 3) * (9 + 1) / 2
    assert entries["blocks.1.attention_mix.weight"].flops == 2 * (4 * 6) * (4 * 8)
    assert entries["blocks.1.attention_mix.maps"].flops == 2 * 8 * (4 + 4 + 16)
    assert entries["blocks.1.engram.key.weight"].flops == 2 * 4 * 8 * 12


@settings(max_examples=15, deadline=None)
@given(st.data())
def test_any_shape_equals_the_reference(data):
    draw = data.draw
    kind = draw(st.sampled_from(sorted(GEOMETRIES)))
    g = GEOMETRIES[kind]
    n_kv_heads = g.n_kv_heads if g.mla else draw(st.sampled_from([1, 2, 4]))
    routed = draw(st.integers(1, 7)) if g.routed_experts else 0
    changes = {
        "n_kv_heads": n_kv_heads, "streams": draw(st.integers(1, 4)), "routed_experts": routed,
        "top_k": draw(st.integers(1, max(1, routed))), "expert_width": 4 * draw(st.integers(1, 3)),
        "dense_layers": draw(st.integers(0, 3)) if routed else g.dense_layers,
        "shared_width": tuple(draw(st.integers(1, 5)) for _ in range(g.n_layers)),
    }  # fmt: skip
    geometry = replace(g, **changes)
    model, ids = build(geometry, seed=draw(st.integers(0, 99))), tokens(1, draw(st.integers(1, 8)))
    with torch.no_grad():
        got = model(ids)[0].double().numpy()
    wanted = reference.transformer(ids[0].tolist(), arrays(model), geometry, CLASSES.tolist())
    np.testing.assert_allclose(got, wanted, rtol=1e-3, atol=1e-3)


def test_window_losses_are_mean_cross_entropies():
    logits, targets = (
        torch.randn(3, 5, 40, generator=torch.Generator().manual_seed(0)),
        tokens(3, 5),
    )
    probabilities = np.exp(logits.double().numpy())
    probabilities /= probabilities.sum(-1, keepdims=True)
    picked = np.take_along_axis(probabilities, targets.numpy()[..., None], -1)[..., 0]
    np.testing.assert_allclose(window_losses(logits, targets), -np.log(picked).mean(1), rtol=1e-5)
