from __future__ import annotations

import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from engram_sweep.model import initialization
from engram_sweep.model.initialization import initialise, named_normal, rows_per_block
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


LONG = (90_000, 3)
"""More than four blocks of rows."""


@pytest.mark.parametrize("shape", [LONG, (70_001,), (5, 40_000, 2), (3, 1, 1)])
@settings(max_examples=20, deadline=None)
@given(data=st.data())
def test_any_rows_can_be_drawn_without_the_others(shape, data):
    """A process that holds a slice of a table draws what the whole table has there."""
    start = data.draw(st.integers(0, shape[0]))
    stop = data.draw(st.integers(start, shape[0]))
    some = named_normal(1, "table", shape, 0.5, (start, stop))
    assert torch.equal(some, named_normal(1, "table", shape, 0.5)[start:stop])


def test_blocks_are_independent_and_normal():
    """No two blocks repeat each other, and all of them together are standard normal."""
    drawn = named_normal(1, "table", LONG, 1.0)
    each = rows_per_block(LONG)
    blocks = list(drawn.split(each))[:-1]
    for one, other in itertools.combinations(blocks, 2):
        correlation = (one * other).mean()
        assert abs(float(correlation)) < 5 / math.sqrt(one.numel())
    assert float(drawn.mean()) == pytest.approx(0, abs=5 / math.sqrt(drawn.numel()))
    assert float((drawn**4).mean()) == pytest.approx(3, abs=5 * math.sqrt(96 / drawn.numel()))


def test_threads_and_pieces_change_nothing(monkeypatch):
    wanted = named_normal(1, "weight", LONG, 0.5)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)
    assert torch.equal(named_normal(1, "weight", LONG, 0.5), wanted)
    monkeypatch.setattr(initialization, "MAX_DRAWN", 100_000)

    class Holder(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = torch.nn.Parameter(torch.empty(LONG))
            self.init_std = {"weight": 0.5}

    holder = Holder()
    initialise(holder, 1)
    assert torch.equal(holder.weight, wanted)


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
