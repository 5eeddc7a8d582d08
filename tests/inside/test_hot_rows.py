from __future__ import annotations

from collections import Counter

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from engram_sweep.corpus.windows import train_batch
from engram_sweep.inside.hot_rows import MEASURE, SCHEMA, SHARES, hottest
from engram_sweep.inside.trained import Trained


@given(
    counts=st.lists(st.integers(0, 9), min_size=1, max_size=50),
    share=st.floats(0.0, 1.0),
)
def test_no_row_outside_the_cache_is_looked_up_more_often_than_one_inside(
    counts: list[int], share: float
) -> None:
    cached = hottest(np.array(counts), share)
    assert share * len(counts) - 1e-6 <= cached.sum() <= share * len(counts) + 1
    inside, outside = np.array(counts)[cached], np.array(counts)[~cached]
    assert not len(inside) or not len(outside) or inside.min() >= outside.max()


def test_hits_are_those_of_a_count_one_by_one(run: Trained) -> None:
    [memory] = run.model.memories()
    t = run.spec.training
    shown: Counter[int] = Counter()
    for step in range(t.steps):
        batch = train_batch(run.shards.train, run.spec.seed, step, t.batch_windows, t.window)
        shown.update(memory.rows(torch.from_numpy(batch[:, :-1])).flatten().tolist())
    # Order 3 has the last rows of the table.
    first, last = int(memory.rows.primes[0].sum()), int(memory.rows.primes.sum())
    ranked = sorted(range(first, last), key=lambda row: -shown[row])
    cache = set(ranked[: int(np.ceil(0.01 * (last - first)))])
    hits = looked_up = 0
    for inputs, _ in run.held_out():
        rows = memory.rows(inputs)[..., 2:].flatten().tolist()
        looked_up += len(rows)
        hits += sum(row in cache for row in rows)
    table = MEASURE.of_run(run)
    assert table.schema.equals(SCHEMA)
    rows = table.to_pandas()
    chosen = rows[(rows["order"] == 3) & (rows["share"] == 0.01)]
    assert chosen["rows"].iloc[0] == last - first
    assert (chosen["look_ups"].sum(), chosen["hits"].sum()) == (looked_up, hits)


def test_a_cache_of_everything_serves_everything_and_a_larger_one_no_less(
    run: Trained, moe_run: Trained
) -> None:
    rows = MEASURE.of_run(run).to_pandas()
    whole = rows[rows["share"] == 1.0]
    assert (whole["hits"] == whole["look_ups"]).all()
    by_share = rows.groupby(["order", "share"])["hits"].sum().unstack()
    assert list(by_share) == list(SHARES)
    assert (by_share.diff(axis=1).iloc[:, 1:] >= 0).all(axis=None)
    assert MEASURE.of_run(moe_run).schema.equals(SCHEMA)
    assert MEASURE.of_run(moe_run).num_rows == 0
