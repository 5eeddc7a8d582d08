"""Tokens per second of one training step on one CPU thread.

Our MoE against transformers' OLMoE of the same geometry.

    make bench

Both models are timed in turn, step by step, in one process; the figure is the ratio of medians.
Same width, blocks, heads, experts, top-k, vocabulary, window, batch, AdamW and clipping; OLMoE has
no shared expert, so ours has none here.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from torch import nn
from transformers import OlmoeConfig, OlmoeForCausalLM  # pyright: ignore[reportMissingImports]  # by make bench

from engram_sweep.model.initialization import initialise
from engram_sweep.model.transformer import Transformer, window_losses
from engram_sweep.spec import Geometry

WIDTH, BLOCKS, HEADS, EXPERTS, TOP_K, EXPERT_WIDTH, VOCABULARY = 64, 2, 4, 64, 2, 32, 256


def ours() -> nn.Module:
    geometry = Geometry(
        vocab_size=VOCABULARY,
        d_model=WIDTH,
        n_layers=BLOCKS,
        n_heads=HEADS,
        n_kv_heads=HEADS,
        head_dim=WIDTH // HEADS,
        mla=None,
        streams=1,
        expert_width=EXPERT_WIDTH,
        routed_experts=EXPERTS,
        top_k=TOP_K,
        shared_width=(0,) * BLOCKS,
        dense_layers=0,
        rope_theta=10_000.0,
        norm_eps=1e-5,
        routed_scaling_factor=1.0,
        init_std=0.02,
        memory=None,
        memory_at_input=False,
    )
    model = Transformer(geometry)
    initialise(model, seed=0)
    return model


def peer() -> nn.Module:
    config = OlmoeConfig(
        vocab_size=VOCABULARY,
        hidden_size=WIDTH,
        intermediate_size=EXPERT_WIDTH,
        num_hidden_layers=BLOCKS,
        num_attention_heads=HEADS,
        num_key_value_heads=HEADS,
        num_experts=EXPERTS,
        num_experts_per_tok=TOP_K,
        use_cache=False,
        eos_token_id=None,
    )
    config._experts_implementation = "grouped_mm"
    return OlmoeForCausalLM(config)


def stepper(
    model: nn.Module, logits: Callable[[torch.Tensor], torch.Tensor], batch: torch.Tensor
) -> Callable[[], None]:
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, fused=True)

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        window_losses(logits(batch[:, :-1]), batch[:, 1:]).mean().backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()

    return step


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--windows", type=int, default=16)
    parser.add_argument("--window", type=int, default=256)
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    batch = torch.randint(VOCABULARY, (options.windows, options.window + 1))
    mine, theirs = ours(), peer()
    steps = {"engram_sweep": stepper(mine, mine, batch)}
    steps["transformers OLMoE"] = stepper(theirs, lambda x: theirs(x).logits, batch)
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for i in range(options.steps + 3):
        for name, step in steps.items():
            began = time.perf_counter()
            step()
            if i >= 3:
                seconds[name].append(time.perf_counter() - began)
    tokens = options.windows * options.window
    medians = {name: statistics.median(times) for name, times in seconds.items()}
    for name, median in medians.items():
        print(f"{name:20s} {tokens / median:9,.0f} tokens/s (median of {options.steps} steps)")
    ratio = medians["transformers OLMoE"] / medians["engram_sweep"]
    print(f"ratio                {ratio:9.2f} x the peer's speed")


if __name__ == "__main__":
    main()
