from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engram_sweep.config.commented_yaml import plain
from engram_sweep.config.sections import Memory, Model, Training
from engram_sweep.planning.own_geometry import (
    FAMILY_WIDTH,
    WIDTHS,
    Compute,
    batch_windows,
    memory_section,
    model_section,
    shared_experts,
    training_section,
    window,
)


@pytest.mark.parametrize("d_model", WIDTHS)
def test_every_width_makes_valid_sections(d_model: int) -> None:
    sections = plain(
        {
            "model": model_section(d_model, shared_experts(d_model), 106),
            "memory": memory_section(d_model),
            "training": training_section(d_model, Compute(10**8, 1e15), 1, on_gpu=True),
        }
    )
    model = Model.model_validate(sections["model"])
    memory = Memory.model_validate(sections["memory"])
    Training.model_validate(sections["training"])
    assert model.n_heads * (model.head_dim or 0) == d_model
    assert memory.layers[-1] < model.n_layers


def test_the_paper_s_width_has_the_paper_s_proportions() -> None:
    """The nearest width to sweeps/10B.yaml's 1472, beside what stands there."""
    model, memory = (
        plain({"x": each})["x"] for each in (model_section(1408, 2, 99), memory_section(1408))
    )
    assert abs(model["n_layers"] - 14) <= 1
    assert abs(model["expert_width"] / 1408 - 1664 / 1472) < 0.01
    assert model["dense_width"] == 8 * model["expert_width"]
    assert (model["top_k"], memory["layers"], memory["heads"]) == (6, [1, 5], 8)
    assert abs(memory["head_dim"] - 80) <= 8


def test_tiny_s_width_has_tiny_s_proportions() -> None:
    model, memory = (
        plain({"x": each})["x"] for each in (model_section(48, 1, 62), memory_section(48))
    )
    wanted = {"n_layers": 2, "n_heads": 3, "head_dim": 16, "expert_width": 32, "shared_width": 32}
    assert wanted.items() <= model.items()
    assert {"layers": [1], "heads": 4, "head_dim": 4, "init_std": 0.1}.items() <= memory.items()


@given(
    d_model=st.sampled_from(WIDTHS),
    flops=st.floats(1e10, 1e22),
    gpus=st.sampled_from([1, 2, 4, 8, 64]),
)
def test_a_batch_divides_over_gpus_and_is_near_the_law(d_model, flops, gpus) -> None:
    compute = Compute(10**9, flops)
    windows = batch_windows(d_model, compute, gpus)
    assert windows % gpus == 0
    assert windows & (windows - 1) == 0
    ratio = windows * window(d_model) / compute.batch_tokens
    assert ratio < 1.5 or windows in (8, gpus)
    assert ratio > 0.7


def test_the_law_is_near_what_was_tuned_and_printed() -> None:
    """DeepSeek LLM's law at both ends of our scales."""
    tiny = Compute(2_500_000, 6 * 52_336 * 2.5e6)
    assert tiny.learning_rate == pytest.approx(1.5e-2, rel=0.5)
    large = Compute(100_700_000_000, 6e20)
    assert large.learning_rate == pytest.approx(6.5e-4, rel=0.3)
    assert large.batch_tokens == pytest.approx(450 * 4096, rel=0.1)


def test_small_widths_are_below_the_family() -> None:
    assert [d for d in WIDTHS if d < FAMILY_WIDTH] == list(range(32, FAMILY_WIDTH, 16))
    assert list(WIDTHS) == sorted(set(WIDTHS))
