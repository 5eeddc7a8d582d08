"""Tokens per second of one training step on one CPU thread, beside a peer's.

    make bench

The peer is transformers' OLMoE of the same geometry: same width, blocks, heads, experts, top-k,
vocabulary, window, batch, AdamW and clipping; it has no shared expert, so ours has none beside it.
The other cases are sweeps/tiny.yaml along rho, and two blocks of sweeps/small.yaml's width. All
variants of a case are timed in turn, step by step, in one process, in CPU time; figures are
medians. "% of the machine" is the arithmetic of the steps over what matrix products of 1,024 x
1,024 reach on the same core.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from benchmarks.results import keep, shown
from benchmarks.steps import Stepper, medians
from engram_sweep.config.scale import load_scale
from engram_sweep.model.initialization import initialise
from engram_sweep.model.transformer import Transformer
from engram_sweep.planning.ledger import ledger
from engram_sweep.planning.plan import make_plan
from engram_sweep.spec import Geometry, TrainingSpec
from engram_sweep.training.compilation import compile_model
from engram_sweep.training.lookups import WholeLookups

SWEEPS = Path(__file__).resolve().parent.parent / "sweeps"
RHO = (1.0, 0.5, 0.0)
PEER = "transformers OLMoE"
Step = Callable[[Tensor], None]


@dataclass(frozen=True)
class Case:
    """A geometry, its recipe, and the batch of a step."""

    name: str
    geometry: Geometry
    training: TrainingSpec
    windows: int
    window: int

    @property
    def tokens(self) -> int:
        return self.windows * self.window


def cases(wanted: list[str]) -> list[Case]:
    """Return those whose names begin with one of the wanted words."""
    tiny = make_plan(load_scale("tiny", SWEEPS))
    runs = {run.spec.rho: run.spec for run in tiny.runs if run.spec.arm in ("moe", "engram")}
    anchor = runs[1.0]
    beside = replace(
        anchor.geometry,
        d_model=64,
        n_heads=4,
        n_kv_heads=4,
        routed_experts=64,
        shared_width=(0, 0),
        rope_theta=10_000.0,
    )
    adamw = replace(anchor.training, optimizer="adamw")
    found = [Case("OLMoE's geometry", beside, adamw, 16, 256)]
    for rho in RHO:
        spec = runs[min(runs, key=lambda each: abs(each - rho))]
        for optimizer in ("muon", "adamw"):
            training = replace(spec.training, optimizer=optimizer)
            name = f"tiny, rho {spec.rho:g}, {optimizer}"
            found.append(Case(name, spec.geometry, training, 32, 128))
    small = make_plan(load_scale("small", SWEEPS)).runs[0].spec
    wide = replace(
        small.geometry,
        vocab_size=anchor.geometry.vocab_size,
        n_layers=2,
        routed_experts=24,
        shared_width=small.geometry.shared_width[:2],
    )
    found.append(Case("small's width", wide, replace(small.training, precision="fp32"), 4, 512))
    return [case for case in found if any(case.name.startswith(word) for word in wanted)]


def ours(case: Case, compiled: bool) -> Step:
    """Return a step as runs train it."""
    model = Transformer(case.geometry, torch.arange(case.geometry.vocab_size))
    initialise(model, 0)
    if compiled:
        compile_model(model)
    return Stepper(model, WholeLookups(model), case.training)


def peer(case: Case) -> Step:
    """Return a step of transformers' OLMoE."""
    # Installed by `make bench` only.
    from transformers import (  # pyright: ignore[reportMissingImports]
        OlmoeConfig,
        OlmoeForCausalLM,
    )

    g = case.geometry
    config = OlmoeConfig(
        vocab_size=g.vocab_size,
        hidden_size=g.d_model,
        intermediate_size=g.expert_width,
        num_hidden_layers=g.n_layers,
        num_attention_heads=g.n_heads,
        num_key_value_heads=g.n_kv_heads,
        num_experts=g.routed_experts,
        num_experts_per_tok=g.top_k,
        use_cache=False,
        eos_token_id=None,
    )
    config._experts_implementation = "grouped_mm"
    model = OlmoeForCausalLM(config)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, fused=True)

    def step(batch: Tensor) -> None:
        optimizer.zero_grad(set_to_none=True)
        logits = model(batch[:, :-1]).logits.float().flatten(0, 1)
        nn.functional.cross_entropy(logits, batch[:, 1:].flatten()).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()

    return step


def product_rate(size: int = 1024, times: int = 10) -> float:
    """Return FLOP/s of this core's matrix products in float32, the best of some."""
    a, b = torch.randn(size, size), torch.randn(size, size)
    seconds = []
    for _ in range(times):
        began = time.process_time()
        torch.mm(a, b)
        seconds.append(time.process_time() - began)
    return 2 * size**3 / min(seconds)


def figures(case: Case, steps: dict[str, Step], count: int) -> list[dict[str, str | float]]:
    """Time the steps by turns and return what `results.keep` takes."""
    batch = torch.randint(case.geometry.vocab_size, (case.windows, case.window + 1))
    turns = {name: lambda turn, step=step: step(batch) for name, step in steps.items()}
    found = medians(turns, count, unmeasured=2)
    speeds = {name: case.tokens / seconds for name, seconds in found.items()}
    per_token = ledger(case.geometry, case.window).flops_per_token
    rate = product_rate()
    rows: list[dict[str, str | float]] = []
    for name, speed in speeds.items():
        rows.append({"variant": name, "figure": speed, "unit": "tokens/s"})
        if name != PEER:
            share = 100 * speed * per_token / rate
            rows.append({"variant": name, "figure": share, "unit": "% of the machine"})
    base = PEER if PEER in speeds else "eager"
    rows += [
        {"variant": f"{name} over {base}", "figure": speed / speeds[base], "unit": "x"}
        for name, speed in speeds.items()
        if name != base
    ]
    return [{"case": case.name, **row} for row in rows]


def main(words: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--cases", nargs="+", default=["OLMoE", "tiny", "small"])
    parser.add_argument("--no-compile", action="store_true", help="eager steps only")
    parser.add_argument("--keep", action="store_true", help="into docs/performance.md")
    options = parser.parse_args(words)
    torch.set_num_threads(1)
    torch.manual_seed(0)
    found = []
    for case in cases(options.cases):
        # Sizes that a graph has seen in another case would be symbols in it, and its code slower.
        torch.compiler.reset()
        steps = {"eager": ours(case, compiled=False)}
        if not options.no_compile:
            steps["compiled"] = ours(case, compiled=True)
        if case.name.startswith("OLMoE"):
            steps[PEER] = peer(case)
        rows = figures(case, steps, options.steps)
        found += rows
        for row in rows:
            figure = shown(float(row["figure"]))
            print(f"{row['case']:22s} {row['variant']:32s} {figure:>9s} {row['unit']}")
    if options.keep:
        keep("python -m benchmarks.train_step --keep", found)


if __name__ == "__main__":
    main()
