"""Rows ever looked up: against a count by hand, and against the rows that training moved."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engram_sweep.corpus.shards import Shards
from engram_sweep.corpus.windows import train_batch
from engram_sweep.model.initialization import named_normal
from engram_sweep.planning.allocation import allocate
from engram_sweep.planning.plan import Plan, make_plan
from engram_sweep.spec import RunSpec, run_id
from engram_sweep.training import touched_rows
from engram_sweep.training.checkpoints import Checkpoints
from engram_sweep.training.touched_rows import rows_touched, table_rows
from engram_sweep.training.train import train
from tests.examples import scale
from tests.model import reference
from tests.model.shapes import CLASSES, GEOMETRIES
from tests.training.conftest import short_spec

SPEC = make_plan(scale(training__window=5, training__batch_windows=2)).runs[0].spec


def by_hand(spec: RunSpec, text: np.ndarray, steps: int) -> list[list[int]]:
    """The rows of every window of every step, kept as sets."""
    memory, t = spec.geometry.memory, spec.training
    assert memory is not None
    classes = CLASSES if memory.compress_tokenizer else np.arange(spec.geometry.vocab_size)
    seen: dict[tuple[int, int, int], set[int]] = {}
    for step in range(steps):
        for window in train_batch(text, spec.seed, step, t.batch_windows, t.window):
            for index, primes in enumerate(memory.rows):
                layer = memory.layers[index] if memory.layers else 0
                heads = [(o, h) for o, order in enumerate(primes) for h in range(len(order))]
                rows = reference.ngram_rows(
                    window[:-1].tolist(), list(map(int, classes)), primes, layer, 0, memory.pad_id
                )
                for at in rows:
                    for (order, head), row in zip(heads, at, strict=True):
                        seen.setdefault((index, order, head), set()).add(row)
    return [
        [
            sum(len(seen.get((index, o, head), ())) for head in range(len(order)))
            for o, order in enumerate(primes)
        ]
        for index, primes in enumerate(memory.rows)
    ]


@settings(max_examples=25, deadline=None)
@given(
    st.sampled_from(["engram", "over_encoding", "one_row"]),
    st.integers(12, 60),
    st.integers(0, 12),
    st.booleans(),
)
def test_the_count_equals_sets_of_rows(kind: str, length: int, steps: int, compressed: bool):
    """From no step to several epochs of a short text."""
    geometry = GEOMETRIES[kind]
    assert geometry.memory is not None
    memory = replace(geometry.memory, compress_tokenizer=compressed)
    spec = replace(SPEC, geometry=replace(geometry, memory=memory))
    text = np.random.default_rng(length).integers(0, 40, length)
    found = rows_touched(spec, text, CLASSES.numpy(), steps)
    assert found == by_hand(spec, text, steps)
    assert np.shape(table_rows(spec)) == np.shape(found)
    assert (np.array(found) <= np.array(table_rows(spec))).all()


def test_without_a_memory_there_is_nothing_to_count():
    spec = replace(SPEC, geometry=GEOMETRIES["moe"])
    assert rows_touched(spec, np.zeros(20, int), CLASSES.numpy(), 3) == []
    assert table_rows(spec) == []


def test_long_runs_count_what_their_first_tokens_touched(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = replace(SPEC, geometry=GEOMETRIES["engram"])
    text = np.random.default_rng(0).integers(0, 40, 200)
    whole = rows_touched(spec, text, CLASSES.numpy(), 9)
    tokens = spec.training.batch_windows * spec.training.window
    monkeypatch.setattr(touched_rows, "MAX_TOKENS", 4 * tokens + 1)
    assert rows_touched(spec, text, CLASSES.numpy(), 9) == by_hand(spec, text, 4)
    assert whole == by_hand(spec, text, 9)
    assert whole != by_hand(spec, text, 4)


@pytest.mark.parametrize("arm", ["engram", "over_encoding"])
def test_rows_that_were_touched_are_those_that_training_moved(
    smoke_plan: Plan, shards: Shards, tmp_path: Path, arm: str
):
    """Adam moves a row by its first gradient, and a row without one stays where it started."""
    spec = short_spec(smoke_plan, 0.0)
    geometry = allocate(smoke_plan.scale, 0.0, arm).geometry
    spec = replace(spec, arm=arm, geometry=geometry)
    checkpoints = Checkpoints(tmp_path / "checkpoints", 1e9)
    result = train(spec, shards, tmp_path / "logs", checkpoints=checkpoints)
    saved = checkpoints.newest(run_id(spec))
    assert saved is not None
    state = saved.rest
    (name,) = [key for key in state["model"] if key.endswith("table.weight")]
    table = state["model"][name]
    memory = spec.geometry.memory
    assert memory is not None
    start = named_normal(spec.seed, name, tuple(table.shape), memory.init_std)
    moved = (table != start).any(dim=1)
    counted = rows_touched(spec, shards.train, shards.compression, result.steps)
    assert sum(counted[0]) == int(moved.sum())
    assert 0 < sum(counted[0]) < len(table), "the text is too short for every row"
