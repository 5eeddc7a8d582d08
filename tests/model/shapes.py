"""Small models of every kind for the tests.

Geometries, and models whose every parameter matters.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from engram_sweep.config.scale import Scale, load_scale
from engram_sweep.model.transformer import Transformer
from engram_sweep.planning.allocation import Allocation, allocate
from engram_sweep.spec import EngramGeometry, Geometry, MLAGeometry

SWEEPS = Path(__file__).resolve().parents[2] / "sweeps"
MLA = MLAGeometry(
    q_lora_rank=6, kv_lora_rank=5, qk_nope_head_dim=4, qk_rope_head_dim=2, v_head_dim=3
)
MEMORY = EngramGeometry(
    layers=(0, 1),
    max_order=3,
    heads=2,
    head_dim=3,
    rows=(((11, 13), (17, 19)), ((23, 29), (31, 37))),
    conv_kernel=4,
    signed_sqrt=False,
    compress_tokenizer=True,
    pad_id=2,
    hash_seed=0,
    init_std=0.5,
    document_end=None,
)
ENGRAM = Geometry(
    vocab_size=40,
    d_model=8,
    n_layers=3,
    n_heads=4,
    n_kv_heads=2,
    head_dim=4,
    mla=None,
    streams=1,
    expert_width=4,
    routed_experts=5,
    top_k=2,
    shared_width=(12, 8, 0),
    dense_layers=1,
    rope_theta=100.0,
    norm_eps=1e-5,
    routed_scaling_factor=1.0,
    init_std=0.3,
    memory=MEMORY,
    memory_at_input=False,
)
INPUT_MEMORY = replace(MEMORY, layers=(), rows=MEMORY.rows[:1])
GEOMETRIES: dict[str, Geometry] = {
    "engram": ENGRAM,
    "moe": replace(ENGRAM, memory=None),
    "over_encoding": replace(ENGRAM, memory=INPUT_MEMORY, memory_at_input=True),
    "one_row": replace(ENGRAM, memory=replace(MEMORY, rows=(((1, 1), (1, 1)),) * 2)),
    "dense": replace(ENGRAM, memory=None, routed_experts=0),
    "signed_sqrt": replace(ENGRAM, memory=replace(MEMORY, signed_sqrt=True)),
    "documents": replace(
        ENGRAM, memory=replace(MEMORY, document_end=1, max_order=4, rows=(((5, 7),) * 3,) * 2)
    ),
    "streams": replace(ENGRAM, streams=3),
    "no_gate": replace(ENGRAM, memory=replace(MEMORY, gate=False)),
    "no_convolution": replace(ENGRAM, memory=replace(MEMORY, conv_kernel=0)),
    "single_fusion": replace(ENGRAM, streams=3, memory=replace(MEMORY, fusion="single")),
    "streams_value_alone": replace(
        ENGRAM, streams=3, memory=replace(MEMORY, gate=False, conv_kernel=0)
    ),
    "mla": replace(ENGRAM, mla=MLA, head_dim=6, n_kv_heads=4),
    "mla_without_query_rank": replace(
        ENGRAM, mla=replace(MLA, q_lora_rank=0), head_dim=6, n_kv_heads=4
    ),
    "mla_streams": replace(ENGRAM, mla=MLA, head_dim=6, n_kv_heads=4, streams=4),
}
"""By the arm, or by what is special about it."""
CLASSES = torch.arange(40) // 2


def fill(module: nn.Module, seed: int = 0) -> None:
    """Random values for every parameter.

    At its true start a model hides its norms, its convolution and its maps.
    """
    generator = torch.Generator().manual_seed(seed)
    for parameter in module.parameters():
        parameter.data = (
            torch.randn(parameter.shape, generator=generator).to(parameter.dtype).mul_(0.4)
        )


def build(geometry: Geometry, seed: int = 0) -> Transformer:
    """A filled model with compression, in evaluation mode."""
    model = Transformer(geometry, CLASSES).eval()
    fill(model, seed)
    return model


def arrays(module: nn.Module) -> dict[str, np.ndarray]:
    """The module's parameters for the reference."""
    return {name: p.detach().double().numpy() for name, p in module.named_parameters()}


def tokens(*shape: int, seed: int = 0, vocab: int = 40) -> torch.Tensor:
    return torch.randint(0, vocab, shape, generator=torch.Generator().manual_seed(seed))


def scale(name: str, **changes: dict[str, Any]) -> Scale:
    """A scale of `sweeps/` with keys of some sections changed."""
    data = load_scale(name, SWEEPS).model_dump()
    return Scale.model_validate(
        {**data, **{section: {**data[section], **keys} for section, keys in changes.items()}}
    )


def every_arm(which: Scale) -> list[Allocation]:
    """One point of every arm.

    Without dense for tiny, whose widths are too coarse for it under latent attention.
    """
    points = [
        ("moe", 1.0),
        ("engram", 0.5),
        ("engram", 0.25),
        ("over_encoding", 0.5),
        ("one_row", 1.0),
    ]
    points += [("dense", 0.0)] * (which.name != "tiny")
    return [allocate(which, rho, arm) for arm, rho in points]


def token_vectors(S: int, seed: int = 0) -> torch.Tensor:
    """Random inputs of S tokens, float[S, d_model]."""
    return torch.randn(S, ENGRAM.d_model, generator=torch.Generator().manual_seed(seed))
