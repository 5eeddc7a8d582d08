from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engram_sweep.corpus.shards import Shards
from engram_sweep.corpus.windows import train_batch, validation_windows, window_visits
from engram_sweep.inside.positions import (
    ORDERS,
    STRATA,
    continues_as_before,
    positions_of,
    presented,
    window_ngrams,
)
from engram_sweep.planning.plan import Plan
from tests.training.conftest import spec_of


def brute_counts(
    held_out: np.ndarray, train: np.ndarray, visits: np.ndarray, order: int, window: int
) -> list[int]:
    """Times that the windows that were read hold each held-out n-gram, one by one."""
    shown: Counter[tuple[int, ...]] = Counter()
    for number, times in enumerate(visits.tolist()):
        inputs = train[number * window : (number + 1) * window].tolist()
        for end in range(order, window + 1):
            shown[tuple(inputs[end - order : end])] += times
    return [
        -1 if at % window < order - 1 else shown[tuple(held_out[at - order + 1 : at + 1].tolist())]
        for at in range(len(held_out) - 1)
    ]


def brute_copied(held_out: np.ndarray, order: int, window: int) -> list[bool]:
    """Whether the latest earlier end of the n-gram in the window went on in the same way."""
    found = []
    for at in range(len(held_out) - 1):
        start = at // window * window
        ends = [
            end
            for end in range(start + order - 1, at)
            if at - start >= order - 1
            and (held_out[end - order + 1 : end + 1] == held_out[at - order + 1 : at + 1]).all()
        ]
        found.append(bool(ends) and held_out[ends[-1] + 1] == held_out[at + 1])
    return found


@settings(max_examples=60, deadline=None)
@given(
    train=st.lists(st.integers(0, 2), min_size=9, max_size=120),
    held_out=st.lists(st.integers(0, 3), min_size=2, max_size=60),
    window=st.integers(1, 8),
    order=st.integers(2, 4),
    times=st.integers(0, 40),
)
def test_counts_and_copies_equal_a_search_one_by_one(
    train: list[int], held_out: list[int], window: int, order: int, times: int
) -> None:
    text, shown = np.array(held_out, np.uint8), np.array(train, np.uint8)
    visits = window_visits(len(shown), seed=3, steps=times, batch_windows=2, window=window)
    hashes = window_ngrams(text[:-1], order, window)
    counts = presented(hashes, shown, visits, order, window)
    assert counts.tolist() == brute_counts(text, shown, visits, order, window)
    copied = continues_as_before(hashes, text, order, window)
    assert copied.tolist() == brute_copied(text, order, window)


@pytest.mark.parametrize("tokens", [8 * 1024, 2_000_000])
def test_strata_of_an_order_hold_every_position_once(
    smoke_plan: Plan, shards: Shards, tokens: int
) -> None:
    spec = spec_of(smoke_plan, tokens=tokens)
    found = positions_of(spec, shards)
    n = len(shards.validation) - 1
    assert len(found.document) == n
    for order in ORDERS:
        assert found.counts[order].shape == found.copied[order].shape == (n,)
        kinds = np.bincount(found.stratum(order), minlength=len(STRATA))
        assert kinds.sum() == n
        # Each window of 64 begins with order - 1 positions whose n-gram is cut.
        assert kinds[-1] == sum(
            min(order - 1, windows.shape[1] - 1) * len(windows)
            for windows, _ in validation_windows(shards.validation, 16, 64)
        )
    # What is shown more often is not rarer: longer n-grams occur at most as often.
    known = (found.counts[2] >= 0) & (found.counts[3] >= 0)
    assert (found.counts[3] <= found.counts[2])[known].all()


def test_counts_are_of_what_the_run_was_shown(smoke_plan: Plan, shards: Shards) -> None:
    spec = spec_of(smoke_plan)
    t = spec.training
    batches = [
        train_batch(shards.train, spec.seed, step, t.batch_windows, t.window)[:, :-1]
        for step in range(t.steps)
    ]
    windows = np.concatenate(batches)
    at = 1000
    wanted = np.asarray(shards.validation[at - 2 : at + 1])
    shown = sum(int((windows[:, i : i + 3] == wanted).all(1).sum()) for i in range(t.window - 2))
    assert positions_of(spec, shards).counts[3][at] == shown


def test_documents_are_those_of_the_tokens_that_are_predicted(
    smoke_plan: Plan, shards: Shards
) -> None:
    found = positions_of(spec_of(smoke_plan), shards).document
    ends = np.flatnonzero(np.asarray(shards.validation) == shards.manifest.document_end)
    # The token that ends a document belongs to it, so the next one begins one position later.
    assert (np.flatnonzero(np.diff(found)) == ends[:-1]).all()
