from __future__ import annotations

import itertools
import math

import pytest
import torch

from engram_sweep.model.initialization import initialise, named_normal
from engram_sweep.model.transformer import Transformer
from tests.model.shapes import every_arm, scale

MODELS = {"plain": {}, "streams": {"streams": 2}}


def started(geometry, seed: int = 3) -> dict[str, torch.Tensor]:
    model = Transformer(geometry)
    initialise(model, seed)
    return {name: p.detach() for name, p in model.named_parameters()}


@pytest.mark.parametrize("backbone", MODELS)
@pytest.mark.parametrize("name", ["tiny", "smoke"])
def test_common_tensors_start_bit_equal_whatever_the_arm(name, backbone):
    """Tensors of one shape are equal.

    Those with more experts, more rows or wider shared experts share what fits.
    """
    which = scale(
        name, model=MODELS[backbone], sweep={"iso": "paper"} if backbone != "plain" else {}
    )
    starts = [(point.arm, started(point.geometry)) for point in every_arm(which)]
    compared = 0
    for (_, one), (_, other) in itertools.combinations(starts, 2):
        for key in one.keys() & other.keys():
            a, b = one[key], other[key]
            if a.shape[1:] == b.shape[1:]:
                rows = min(len(a), len(b))
                assert torch.equal(a[:rows], b[:rows]), key
                compared += 1
    assert compared > 100
    shared = {key for _, start in starts for key in start if key.startswith("blocks.0.attention.")}
    assert all(key in start for key in shared for _, start in starts)


def test_values_depend_on_seed_and_name():
    draws = [
        named_normal(seed, name, (50,), 1.0) for seed in (0, 1) for name in ("a.weight", "b.weight")
    ]
    for one, other in itertools.combinations(draws, 2):
        assert (one == other).sum() == 0
    assert torch.equal(draws[0], named_normal(0, "a.weight", (50,), 1.0))


def test_values_are_pinned():
    """A change of numpy's stream, the hash or the key would silently unpair old and new runs."""
    pinned = [
        [-0.19531597197055817, 0.10783793032169342],
        [0.39865800738334656, -0.14607177674770355],
    ]
    assert named_normal(0, "embedding.weight", (2, 2), 0.5).tolist() == pinned


def test_growing_the_first_dimension_keeps_the_beginning():
    assert torch.equal(
        named_normal(5, "x", (7, 3, 4), 0.1)[:4], named_normal(5, "x", (4, 3, 4), 0.1)
    )


def test_scales_are_the_ones_asked_for():
    geometry = every_arm(scale("smoke"))[1].geometry
    model = Transformer(geometry)
    initialise(model, 0)
    asked = geometry.init_std
    for name, p in ((name, p.detach()) for name, p in model.named_parameters()):
        if "norm" in name:
            assert (p == 1).all(), name
        elif name.endswith("conv.weight"):
            assert not p.any(), name
        elif p.numel() > 500:
            deep = name.endswith(("output.weight", "down.weight", "experts.down"))
            std = asked / math.sqrt(2 * geometry.n_layers) if deep else asked
            assert float(p.std()) == pytest.approx(std, rel=5 / math.sqrt(p.numel())), name
