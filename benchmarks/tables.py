"""What n-gram tables cost on one CPU thread: by their size, and beside the released demo's way.

    .venv/bin/python -m benchmarks.tables

The model of sweeps/tiny.yaml on its text, its tables and tables of 100 times the rows. Whole steps
at rho 0.5 are timed with either optimizer of tables, after as many steps again that are not timed:
tables fill with rows that were ever touched, and that is what could make a step slower. Look-up and
update alone are those of rho 0, beside the released demo's way: a hash in numpy on the host, one
dense embedding for a layer, and so dense gradients and an Adam that passes over every row (torch's
fused one). All variants of a case run in turn, step by step, in one process; figures are medians of
CPU time.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.results import keep, print_rows
from benchmarks.steps import Row, Stepper, medians, over, tiny_along_rho, windows_of
from engram_sweep.corpus.shards import Shards, load, prepare
from engram_sweep.model.initialization import initialise
from engram_sweep.model.ngrams import NgramRows
from engram_sweep.model.transformer import Transformer
from engram_sweep.planning.primes import distinct_primes
from engram_sweep.spec import RunSpec
from engram_sweep.training.lookups import WholeLookups
from engram_sweep.training.optimizers import make_optimizers
from engram_sweep.training.table_adam import TableAdam

Turn = Callable[[int], object]


def with_tables(spec: RunSpec, times: int) -> RunSpec:
    """The run with so many times the rows."""
    memory = spec.geometry.memory
    assert memory is not None
    heads = len(memory.rows) * len(memory.orders) * memory.heads
    rows = sum(memory.table_rows(i) for i in range(len(memory.rows)))
    primes = iter(distinct_primes(heads, times * rows))
    larger = tuple(
        tuple(tuple(next(primes) for _ in order) for order in table) for table in memory.rows
    )
    return replace(spec, geometry=replace(spec.geometry, memory=replace(memory, rows=larger)))


def model_of(spec: RunSpec, shards: Shards) -> Transformer:
    model = Transformer(spec.geometry, torch.from_numpy(shards.compression))
    initialise(model, spec.seed)
    return model


def whole_step(spec: RunSpec, shards: Shards) -> Turn:
    """A step as runs train it."""
    model = model_of(spec, shards)
    step = Stepper(model, WholeLookups(model), spec.training)
    return lambda turn: step(windows_of(spec, shards, turn))


def our_update(spec: RunSpec, shards: Shards) -> Turn:
    """Look-up and update of all tables, for a gradient that is all ones."""
    model = model_of(spec, shards)
    lookups = WholeLookups(model)
    optimizers = make_optimizers(model, spec.training)
    [optimizer] = [each for each in optimizers if isinstance(each, TableAdam)]

    def turn(index: int) -> None:
        optimizer.zero_grad(set_to_none=True)
        found = lookups.look_up(windows_of(spec, shards, index)[:, :-1])
        lookups.give_back([torch.ones_like(e) for e in found])
        optimizer.step()

    return turn


def numpy_rows(tokens: np.ndarray, rows: NgramRows) -> np.ndarray:
    """(B, T) token ids -> (B, T, orders * heads) rows of a layer's table, hashed in numpy."""
    ids = rows.compression.numpy()[tokens]
    pad, factors = int(rows.compression[rows.pad_id]), rows.multipliers.numpy()
    mix, found = ids * factors[0], []
    orders = zip(rows.primes.numpy(), rows.offsets.numpy(), strict=True)
    for back, (primes, starts) in enumerate(orders, 1):
        shifted = np.full_like(ids, pad)
        shifted[:, back:] = ids[:, :-back]
        mix = np.bitwise_xor(mix, shifted * factors[back])
        found += [mix % prime + start for prime, start in zip(primes, starts, strict=True)]
    return np.stack(found, axis=-1)


def dense_update(spec: RunSpec, shards: Shards) -> Turn:
    """The same by a hash on the host, dense gradients and an Adam over every row."""
    memories = model_of(spec, shards).memories()
    shapes = [memory.table.weight.shape for memory in memories]
    tables = [nn.Embedding(rows, width) for rows, width in shapes]
    weights = [table.weight for table in tables]
    optimizer = torch.optim.Adam(weights, lr=1e-3, fused=True)

    def turn(index: int) -> None:
        optimizer.zero_grad(set_to_none=True)
        tokens = windows_of(spec, shards, index)[:, :-1].numpy()
        for memory, table in zip(memories, tables, strict=True):
            e: Tensor = table(torch.from_numpy(numpy_rows(tokens, memory.rows)))
            e.backward(torch.ones_like(e))
        optimizer.step()

    return turn


def figures(shards: Shards, steps: int, times: int) -> list[Row]:
    """Time all variants and return what `results.keep` takes."""
    runs = tiny_along_rho()
    half, none = runs[0.5], runs[0.0]
    whole: dict[str, Turn] = {}
    for optimizer in ("lazy_adam", "adam"):
        spec = replace(half, training=replace(half.training, table_optimizer=optimizer))
        whole[optimizer] = whole_step(spec, shards)
        whole[f"{optimizer}, {times} x the rows"] = whole_step(with_tables(spec, times), shards)
    found = medians(whole, steps, unmeasured=steps)
    names = list(found)
    rows = [*over(found, names[1], names[0]), *over(found, names[3], names[2])]
    rows += over(found, "adam", "lazy_adam")
    rows = [{"case": "step, tiny, rho 0.5", **row} for row in rows]
    for factor in (1, times):
        spec = with_tables(none, factor) if factor > 1 else none
        ours, theirs = our_update(spec, shards), dense_update(spec, shards)
        found = medians({"ours": ours, "the demo's way": theirs}, max(2, steps // 4), unmeasured=2)
        memory = spec.geometry.memory
        assert memory is not None
        numbers = memory.head_dim * sum(memory.table_rows(i) for i in range(len(memory.rows)))
        case = f"look-up and update, {numbers / 1e6:.1f}M parameters"
        rows += [{"case": case, **row} for row in over(found, "the demo's way", "ours")]
    return rows


def main(words: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=80)
    parser.add_argument(
        "--times", type=int, default=100, help="how much larger the larger table is"
    )
    parser.add_argument("--keep", action="store_true", help="into docs/performance.md")
    options = parser.parse_args(words)
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        shards = load(prepare(tiny_along_rho()[0.0].corpus, Path(folder)))
        rows = figures(shards, options.steps, options.times)
    print_rows(rows)
    if options.keep:
        keep("python -m benchmarks.tables --keep", rows)


if __name__ == "__main__":
    main()
