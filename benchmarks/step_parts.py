"""Where the CPU time of an eager step of tiny goes, and so what bounds it.

    .venv/bin/python -m benchmarks.step_parts

Every operation of some steps is timed where it runs, and so with the memory as it finds it: matrix
products, attention's kernel, sums and maps over numbers, moves (copies, look-ups by index, sorts).
What calling one takes is taken off. What is left of a step that is not watched are autograd,
torch's dispatcher and Python; it may come out below zero, because watching pushes numbers out of
the cache. Beside the products stands the time that their arithmetic takes at the rate of 1,024 x
1,024 ones. All is CPU time of one thread.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.results import keep, print_rows
from benchmarks.steps import Row, tiny_along_rho
from benchmarks.tables import Turn, whole_step
from benchmarks.train_step import product_rate
from engram_sweep.corpus.shards import load, prepare

PRODUCTS = ("mm", "bmm", "addmm", "baddbmm", "_grouped_mm", "addmm_", "baddbmm_", "mv")
MOVES = (
    "index",
    "gather",
    "scatter",
    "copy",
    "cat",
    "sort",
    "topk",
    "clone",
    "unique",
    "embedding",
)
KINDS = ("matrix products", "attention", "moves", "numbers")


class Timed(TorchDispatchMode):
    """Adds up the CPU seconds of the operations that run inside of it, by their kind."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds: dict[str, float] = dict.fromkeys(KINDS, 0.0)
        self.counts: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        began = time.thread_time()
        out = func(*args, **kwargs)
        kind = kind_of(func.overloadpacket.__name__)
        self.seconds[kind] += time.thread_time() - began
        self.counts[kind] += 1
        return out

    def net(self, kind: str, price: float) -> float:
        """Return the seconds of a kind without what calling and watching each operation takes."""
        return self.seconds[kind] - price * self.counts[kind]


def price_of_a_call() -> float:
    """Return the CPU seconds of a watched operation that does nothing."""
    one, watch = torch.ones(1), Timed()
    with watch:
        for _ in range(2000):
            one.view(1)
    return sum(watch.seconds.values()) / sum(watch.counts.values())


def kind_of(name: str) -> str:
    """Return the kind of an operation of torch, e.g. `matrix products` for `bmm`."""
    if name in PRODUCTS:
        return "matrix products"
    if "attention" in name:
        return "attention"
    return "moves" if any(word in name for word in MOVES) else "numbers"


def parts(step: Turn, steps: int, rate: float) -> list[Row]:
    """Return rows of where the time of a step goes.

    Args:
        step: called with its number.
        steps: of each kind, watched and not.
        rate: FLOP/s of this core's matrix products.
    """
    whole: list[float] = []
    watched: list[Timed] = []
    for turn in range(-2, 2 * steps):
        # By turns, after two that fill the optimizers' states.
        if turn % 2 and turn >= 0:
            watched.append(Timed())
            with watched[-1]:
                step(turn + 2)
            continue
        began = time.thread_time()
        step(turn + 2)
        if turn >= 0:
            whole.append(time.thread_time() - began)
    with FlopCounterMode(display=False) as counter:
        step(2 * steps + 2)
    total = statistics.median(whole)
    price = price_of_a_call()
    found = {kind: statistics.median(each.net(kind, price) for each in watched) for kind in KINDS}
    found["autograd, dispatcher, Python"] = total - sum(found.values())
    ideal = counter.get_total_flops() / rate
    rows: list[Row] = [{"variant": "all", "figure": 1e3 * total, "unit": "ms of CPU"}]
    for name, seconds in found.items():
        rows.append({"variant": name, "figure": 1e3 * seconds, "unit": "ms of CPU"})
    rows += [
        {
            "variant": "products at the rate of large ones",
            "figure": 1e3 * ideal,
            "unit": "ms of CPU",
        },
        {
            "variant": "operations",
            "figure": float(sum(watched[-1].counts.values())),
            "unit": "a step",
        },
    ]
    return rows


def main(words: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--rho", type=float, nargs="+", default=[1.0, 0.5, 0.0])
    parser.add_argument("--keep", action="store_true", help="into docs/performance.md")
    options = parser.parse_args(words)
    torch.set_num_threads(1)
    runs = tiny_along_rho()
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as folder:
        shards = load(prepare(runs[0.0].corpus, Path(folder)))
        rate = product_rate(torch.device("cpu"))
        for rho in options.rho:
            found = parts(whole_step(runs[rho], shards), options.steps, rate)
            rows += [{"case": f"a step of tiny, rho {rho:g}", **row} for row in found]
    print_rows(rows)
    if options.keep:
        keep("python -m benchmarks.step_parts --keep", rows)


if __name__ == "__main__":
    main()
