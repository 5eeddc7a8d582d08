"""Sparse gradients, dense Adam: `torch.optim.Adam` on the same gradients is the truth."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from engram_sweep.model.engram import Table
from engram_sweep.model.initialization import initialise
from engram_sweep.model.transformer import Transformer, window_losses
from engram_sweep.spec import TrainingSpec
from engram_sweep.training.optimizers import make_optimizers, schedule_factor
from engram_sweep.training.table_adam import TableAdam
from tests.model.shapes import CLASSES, GEOMETRIES, scale, tokens

ROWS, WIDTH, STEPS = 40, 5, 400
NEVER, ONCE, EARLY, RARELY, ALWAYS = 0, 1, 2, 3, 4
TRAINING = TrainingSpec(**scale("smoke").training.model_dump())


def looked_up() -> Iterator[Tensor]:
    """Rows of every step: some always, some rarely, one once, one at the first step, one never."""
    generator = torch.Generator().manual_seed(0)
    for step in range(STEPS):
        rows = [ALWAYS, ALWAYS, *torch.randint(5, ROWS, (4,), generator=generator).tolist()]
        rows += [ONCE] * (step == 210) + [EARLY] * (step == 0) + [RARELY] * (step % 97 == 5)
        yield torch.tensor(rows)


def rates(name: str) -> list[float]:
    """Peaks of 0.01 with warm-up and the decay of a schedule."""
    steps = STEPS * TRAINING.window * TRAINING.batch_windows
    training = replace(TRAINING, schedule=name, tokens=steps, warmup_share=0.1)
    return [0.01 * schedule_factor(training, step) for step in range(STEPS)]


def table_of(start: Tensor) -> Table:
    table = Table(*start.shape, std=1.0)
    table.weight = nn.Parameter(start.clone())
    return table


def train(
    table: Table,
    optimizer: torch.optim.Optimizer,
    schedule: list[float],
    size: float = 1.0,
    steps: range = range(STEPS),
    make_dense: bool = False,
    seen: Callable[[Tensor], None] = lambda values: None,
) -> None:
    """Look up the rows of every step and give each value a gradient of its own size."""
    for step, rows in enumerate(looked_up()):
        if step not in steps:
            continue
        generator = torch.Generator().manual_seed(step)
        weights = torch.randn(len(rows), WIDTH, generator=generator, dtype=table.weight.dtype)
        spread = 10.0 ** (-3 * torch.rand(len(rows), WIDTH, generator=generator))
        values = table(rows)
        seen(values.detach())
        optimizer.zero_grad()
        (values * weights * spread * size).sum().backward()
        if make_dense:
            assert table.weight.grad is not None
            table.weight.grad = table.weight.grad.to_dense()
        optimizer.param_groups[0]["lr"] = schedule[step]
        optimizer.step()


def both(
    schedule: str, betas: tuple[float, float], eps: float, size: float, dtype: torch.dtype
) -> tuple[Tensor, Tensor, float]:
    """Our table after all steps, torch's, and the largest gap between what the two looked up."""
    generator = torch.Generator().manual_seed(1)
    start = torch.randn(ROWS, WIDTH, generator=generator, dtype=dtype)
    ours, theirs = table_of(start), table_of(start)
    optimizer = TableAdam([ours.weight], betas=betas, eps=eps)
    ours.register_forward_pre_hook(optimizer.before_look_up)
    values: list[list[Tensor]] = [[], []]
    train(ours, optimizer, rates(schedule), size, seen=values[0].append)
    optimizer.flush()
    dense = torch.optim.Adam([theirs.weight], betas=betas, eps=eps)
    train(theirs, dense, rates(schedule), size, make_dense=True, seen=values[1].append)
    gap = max(float((a - b).abs().max()) for a, b in zip(*values, strict=True))
    assert torch.equal(ours.weight[NEVER], start[NEVER])
    assert (ours.weight[1:] - start[1:]).abs().amax(1).min() > 1e-4, "the others moved"
    return ours.weight.detach(), theirs.weight.detach(), gap


@pytest.mark.parametrize(
    ("schedule", "betas", "eps", "size"),
    [
        ("cosine", (0.9, 0.95), 1e-8, 1.0),
        ("step", (0.9, 0.95), 1e-20, 1.0),
        ("wsd", (0.9, 0.95), 1e-8, 1e-8),
        ("step", (0.9, 0.95), 1e-20, 1e-9),
        ("wsd", (0.9, 0.999), 1e-8, 1e-8),
    ],
    ids=[
        "torch's eps",
        "DeepSeek's eps",
        "gradients as small as eps",
        "DeepSeek's eps, small gradients",
        "torch's betas",
    ],
)
def test_equals_dense_adam(schedule, betas, eps, size):
    """To float32 rounding, over hundreds of steps; in float64 to what the series leaves out."""
    ours, theirs, gap = both(schedule, betas, eps, size, torch.float32)
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-5)
    assert gap < 1e-5
    ours, theirs, gap = both(schedule, betas, eps, size, torch.float64)
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-7)
    assert gap < 1e-7


def test_lazy_adam_is_another_optimizer():
    """What the default replaces: a row touched once is left where its step put it."""
    start = torch.zeros(ROWS, WIDTH)
    lazy, ours = table_of(start), table_of(start)
    steady = [0.01] * STEPS
    train(lazy, torch.optim.SparseAdam([lazy.weight], betas=(0.9, 0.95)), steady)
    optimizer = TableAdam([ours.weight], betas=(0.9, 0.95))
    ours.register_forward_pre_hook(optimizer.before_look_up)
    train(ours, optimizer, steady)
    optimizer.flush()
    further = ours.weight[ONCE] / lazy.weight[ONCE]
    torch.testing.assert_close(further, torch.full((WIDTH,), 13.05), rtol=1e-3, atol=0)
    torch.testing.assert_close(ours.weight[ALWAYS], lazy.weight[ALWAYS], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("stop", [1, 6, 211, 399])
def test_goes_on_bit_equal_from_its_state_without_a_flush(tmp_path, stop):
    """Through a file, as checkpoints go, and rows that were behind when it was written."""
    start = torch.randn(ROWS, WIDTH, generator=torch.Generator().manual_seed(1))

    def fresh() -> tuple[Table, TableAdam]:
        table = table_of(start)
        optimizer = TableAdam([table.weight], betas=(0.9, 0.95))
        table.register_forward_pre_hook(optimizer.before_look_up)
        return table, optimizer

    whole, optimizer = fresh()
    train(whole, optimizer, rates("cosine"))
    optimizer.flush()
    first, optimizer = fresh()
    train(first, optimizer, rates("cosine"), steps=range(stop))
    state = {"model": first.state_dict(), "optimizer": optimizer.state_dict()}
    torch.save(state, tmp_path / "state.pt")
    read = torch.load(tmp_path / "state.pt", weights_only=True)
    second, optimizer = fresh()
    second.load_state_dict(read["model"])
    optimizer.load_state_dict(read["optimizer"])
    train(second, optimizer, rates("cosine"), steps=range(stop, STEPS))
    optimizer.flush()
    assert torch.equal(second.weight, whole.weight)


def test_rows_that_another_process_looked_up_end_bit_equal():
    """A gradient's rows may not have been looked up here; the replicas must not part."""
    start = torch.randn(ROWS, WIDTH, generator=torch.Generator().manual_seed(1))
    replicas = [table_of(start) for _ in range(2)]
    optimizers = [TableAdam([table.weight]) for table in replicas]
    for table, optimizer in zip(replicas, optimizers, strict=True):
        table.register_forward_pre_hook(optimizer.before_look_up)
    for step, rows in enumerate(looked_up()):
        halves = rows[:3], rows[3:]
        gradient = torch.sparse_coo_tensor(
            rows[None],
            torch.randn(len(rows), WIDTH, generator=torch.Generator().manual_seed(step)),
            start.shape,
            check_invariants=False,
        )
        for table, optimizer, mine in zip(replicas, optimizers, halves, strict=True):
            table(mine)
            table.weight.grad = gradient.coalesce()
            optimizer.step()
    for optimizer in optimizers:
        optimizer.flush()
    assert torch.equal(replicas[0].weight, replicas[1].weight)


@pytest.mark.parametrize("kind", ["engram", "over_encoding", "streams"])
def test_no_arm_looks_up_a_row_that_is_behind(kind):
    """The model on rows that are behind says, bit for bit, what it says after a flush."""
    model = Transformer(GEOMETRIES[kind], CLASSES)
    initialise(model, 0)
    optimizers = make_optimizers(model, TRAINING)
    adam = optimizers[-1]
    assert isinstance(adam, TableAdam)
    for step in range(8):
        batch = tokens(1, 6, seed=step)
        behind = copy.deepcopy((model.state_dict(), adam.state_dict()))
        tables = [table.detach().clone() for table in model.tables()]
        adam.flush()
        pairs = zip(model.tables(), tables, strict=True)
        assert step < 2 or all((table != before).any() for table, before in pairs)
        wanted = model(batch[:, :-1])
        model.load_state_dict(behind[0])
        adam.load_state_dict(behind[1])
        logits = model(batch[:, :-1])
        assert torch.equal(logits, wanted)
        for optimizer in optimizers:
            optimizer.zero_grad()
        window_losses(logits, batch[:, 1:]).mean().backward()
        for optimizer in optimizers:
            optimizer.step()


def test_a_dense_gradient_is_refused():
    table = nn.Parameter(torch.zeros(3, 2))
    table.grad = torch.zeros(3, 2)
    with pytest.raises(ValueError, match=r"TableAdam: expected sparse gradients, got .*strided"):
        TableAdam([table]).step()


def test_a_flush_in_pieces_is_a_flush(monkeypatch):
    start = torch.randn(ROWS, WIDTH, generator=torch.Generator().manual_seed(1))
    tables = []
    for size in (1 << 22, 7):
        monkeypatch.setattr("engram_sweep.training.table_adam.MAX_FLUSHED", size)
        table = table_of(start)
        optimizer = TableAdam([table.weight])
        table.register_forward_pre_hook(optimizer.before_look_up)
        train(table, optimizer, rates("wsd"))
        optimizer.flush()
        once = table.weight.detach().clone()
        optimizer.flush()
        assert torch.equal(table.weight, once), "nothing is behind any more"
        tables.append(once)
    assert torch.equal(*tables)
