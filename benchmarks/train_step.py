"""Tokens per second of one training step on one CPU thread, beside a peer's.

    make bench
    make bench ARGS=--gpu

The peer is transformers' OLMoE of the same geometry: same width, blocks, heads, experts, top-k,
vocabulary, window, batch, AdamW and clipping; it has no shared expert, so ours has none beside it.
The other cases are sweeps/tiny.yaml along rho, and two blocks of sweeps/small.yaml's width. All
variants of a case are timed in turn, step by step, in one process, in CPU time; figures are
medians. "% of the machine" is the arithmetic of the steps over what matrix products of 1,024 x
1,024 reach on the same core. With --gpu all of it runs on a CUDA device under bf16 autocast, in
wall time once the device is done, beside bf16 products of 8,192 x 8,192.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from benchmarks.results import keep, print_rows
from benchmarks.steps import SWEEPS, Clock, Stepper, medians
from engram_sweep.config.scale import load_scale
from engram_sweep.model.initialization import initialise
from engram_sweep.model.transformer import Transformer
from engram_sweep.planning.ledger import ledger
from engram_sweep.planning.plan import make_plan
from engram_sweep.spec import Geometry, TrainingSpec
from engram_sweep.training.compilation import compile_model
from engram_sweep.training.lookups import WholeLookups

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


def ours(case: Case, compiled: bool, device: torch.device) -> Step:
    """Return a step as runs train it."""
    model = Transformer(case.geometry, torch.arange(case.geometry.vocab_size))
    initialise(model, 0)
    model.to(device)
    if compiled:
        compile_model(model)
    return Stepper(model, WholeLookups(model), case.training)


def peer(case: Case, device: torch.device) -> Step:
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
    # transformers' decorator hides the argument from type checkers.
    model = OlmoeForCausalLM(config).to(device)  # type: ignore[arg-type]
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, fused=True)

    def step(batch: Tensor) -> None:
        optimizer.zero_grad(set_to_none=True)
        logits = model(batch[:, :-1]).logits.float().flatten(0, 1)
        nn.functional.cross_entropy(logits, batch[:, 1:].flatten()).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()

    return step


def clock_of(device: torch.device) -> Clock:
    """Return CPU time of this process, or wall time once a GPU has done what it was given."""
    if device.type == "cpu":
        return time.process_time

    def wall() -> float:
        torch.cuda.synchronize()
        return time.perf_counter()

    return wall


def product_rate(device: torch.device, times: int = 10) -> float:
    """Return FLOP/s of matrix products in the precision of the steps, the best of some."""
    size, dtype = (1024, torch.float32) if device.type == "cpu" else (8192, torch.bfloat16)
    a, b = (torch.randn(size, size, device=device, dtype=dtype) for _ in range(2))
    clock, seconds = clock_of(device), []
    for _ in range(times):
        began = clock()
        torch.mm(a, b)
        seconds.append(clock() - began)
    return 2 * size**3 / min(seconds)


def figures(
    case: Case, steps: dict[str, Step], count: int, device: torch.device
) -> list[dict[str, str | float]]:
    """Time the steps by turns and return what `results.keep` takes."""
    shape = (case.windows, case.window + 1)
    batch = torch.randint(case.geometry.vocab_size, shape, device=device)
    half = torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda")

    def turn_of(step: Step) -> Callable[[int], None]:
        def turn(_: int) -> None:
            with half:
                step(batch)

        return turn

    turns = {name: turn_of(step) for name, step in steps.items()}
    found = medians(turns, count, unmeasured=2, clock=clock_of(device))
    speeds = {name: case.tokens / seconds for name, seconds in found.items()}
    per_token = ledger(case.geometry, case.window).flops_per_token
    rate = product_rate(device)
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
    parser.add_argument("--gpu", action="store_true", help="on a CUDA device")
    options = parser.parse_args(words)
    if options.gpu and not torch.cuda.is_available():
        parser.error("--gpu: expected a CUDA device, found none")
    device = torch.device("cuda" if options.gpu else "cpu")
    torch.set_num_threads(1)
    torch.manual_seed(0)
    found = []
    for case in cases(options.cases):
        # Sizes that a graph has seen in another case would be symbols in it, and its code slower.
        torch.compiler.reset()
        steps = {"eager": ours(case, False, device)}
        if not options.no_compile:
            steps["compiled"] = ours(case, True, device)
        if case.name.startswith("OLMoE"):
            steps[PEER] = peer(case, device)
        rows = figures(case, steps, options.steps, device)
        found += rows
        print_rows(rows)
    if options.keep:
        keep("python -m benchmarks.train_step --keep" + " --gpu" * options.gpu, found)


if __name__ == "__main__":
    main()
