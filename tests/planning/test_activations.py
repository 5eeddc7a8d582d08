"""What autograd keeps of the built model, tensor by tensor, beside what the plan reckons."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import pytest
import torch
from torch import Tensor

from engram_sweep.model.initialization import initialise
from engram_sweep.model.transformer import Block, Transformer
from engram_sweep.planning.activations import (
    block_bytes,
    head_bytes,
    logit_bytes,
    stream_bytes,
    work_bytes,
)
from engram_sweep.planning.plan import make_plan
from engram_sweep.spec import Geometry
from tests.examples import scale

MLA = {"kv_lora_rank": 32, "qk_nope_head_dim": 16, "qk_rope_head_dim": 16, "v_head_dim": 32}
SHAPES = {
    "grouped": {"model__streams": 1},
    "streams": {"model__streams": 4},
    "latent": {
        "model__streams": 4,
        "model__mla": MLA,
        "model__head_dim": None,
        "model__n_kv_heads": None,
    },
    "no_gate": {"memory__gate": False},
    "no_convolution": {"model__streams": 4, "memory__conv_kernel": 0},
    "single_fusion": {"model__streams": 4, "memory__fusion": "single"},
    "value_alone": {"model__streams": 4, "memory__gate": False, "memory__conv_kernel": 0},
    "dense_layer": {"model__streams": 4, "model__dense_layers": 1, "model__dense_width": 256},
}
WINDOWS, T = 4, 64


def kept(call: Callable[[], Tensor], precision: str, besides: list[Tensor]) -> int:
    """Bytes of the storages that autograd keeps of a call, those of `besides` left out."""
    found: dict[int, Tensor] = {}

    def note(tensor: Tensor) -> Tensor:
        found[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    with (
        torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor),
        torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"),
    ):
        output = call()
    own = {tensor.untyped_storage().data_ptr() for tensor in (*besides, output)}
    return sum(t.untyped_storage().nbytes() for ptr, t in found.items() if ptr not in own)


def copies(model: Transformer, block: int, precision: str) -> int:
    """Bytes of the bf16 copies of a block's matrices, which no number of tokens changes."""
    if precision == "fp32":
        return 0
    left_out = ("router", "mix", "norm", "conv", "table")
    return sum(
        2 * p.numel()
        for name, p in model.blocks[block].named_parameters()
        if not any(word in name for word in left_out)
    )


def model_of(**changes: Any) -> tuple[Transformer, Geometry]:
    run = next(r for r in make_plan(scale(**changes)).runs if 0.5 < r.spec.rho < 0.7)
    model = Transformer(run.spec.geometry)
    initialise(model, 0)
    return model, run.spec.geometry


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("name", SHAPES)
def test_a_block_keeps_what_is_reckoned(name: str, precision: str) -> None:
    """Within 5 %: the sums leave out numbers of a few bytes per token, which weigh here."""
    model, g = model_of(**SHAPES[name])
    tokens = torch.randint(0, 256, (WINDOWS, T))
    shape = (WINDOWS, T, g.streams, g.d_model) if g.streams > 1 else (WINDOWS, T, g.d_model)
    for index, block in enumerate(cast("list[Block]", list(model.blocks))):
        h = torch.randn(shape, requires_grad=True)
        e = block.engram.look_up(tokens) if block.engram is not None else None
        params = [*block.parameters(), *([] if e is None else [e])]
        found = kept(lambda block=block, h=h, e=e: block(h, e), precision, params)
        wanted = WINDOWS * T * block_bytes(g, index, precision)
        # In fp32 the looked-up rows are what their products keep: they are counted apart there.
        rows = 0 if e is None or precision == "bf16" else 4 * e.numel()
        assert found - copies(model, index, precision) + rows == pytest.approx(wanted, rel=0.05)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_the_head_keeps_what_is_reckoned(precision: str) -> None:
    model, g = model_of(**SHAPES["streams"])
    h = torch.randn(WINDOWS, T, g.streams, g.d_model, requires_grad=True)
    found = kept(lambda: model.head(model.norm(h.mean(2))), precision, [*model.parameters()])
    weights = 2 * model.head.weight.numel() if precision == "bf16" else 0
    most = WINDOWS * T * head_bytes(g, precision)
    assert 0.3 * most < found - weights <= most


def test_streams_are_float32_and_a_block_works_in_three_of_them() -> None:
    _, g = model_of(**SHAPES["streams"])
    assert stream_bytes(g) == 4 * 4 * g.d_model
    assert work_bytes(g) == 3 * stream_bytes(g)


def test_the_widest_moment_of_the_loss_grows_with_the_vocabulary() -> None:
    _, g = model_of()
    assert logit_bytes(g, "bf16") == 256 * (4 + 4 + 2)
    assert logit_bytes(g, "fp32") == 256 * 3 * 4
