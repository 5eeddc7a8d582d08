from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engram_sweep.corpus import ngram_counts
from engram_sweep.corpus.ngram_counts import count_ngrams
from engram_sweep.corpus.shards import Shards

streams = st.lists(st.integers(0, 5), min_size=1, max_size=80)


def grams(ids: list[int], order: int) -> list[tuple[int, ...]]:
    return [tuple(ids[i : i + order]) for i in range(len(ids) - order + 1)]


@given(streams, streams, st.integers(1, 7), st.sampled_from([5, 2**22]))
def test_counts_are_those_of_a_counter(
    train: list[int], held_out: list[int], order: int, block: int
) -> None:
    # Two ids are one class.
    classes = np.array([0, 0, 1, 2, 3, 4])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ngram_counts, "_BLOCK", block)
        found = count_ngrams(
            np.array(train, np.uint8), np.array(held_out, np.uint8), order, classes
        )
    counted = Counter(grams(classes[train].tolist(), order))
    held = grams(classes[held_out].tolist(), order)
    assert found.distinct == len(counted)
    assert found.repeated == sum(times > 1 for times in counted.values())
    assert found.sampled == 1
    if held:
        assert found.seen == pytest.approx(np.mean([each in counted for each in held]))
    else:
        assert found.seen is None


def test_halves_that_change_places_are_other_ngrams() -> None:
    ids = np.array([1, 2, 3, 4, 3, 4, 1, 2], np.uint8)
    assert count_ngrams(ids, ids, 4).distinct == 5


def test_a_sample_by_hash_counts_without_bias(shards: Shards) -> None:
    """Distinct trigrams of real text, in a sixteenth of the memory."""
    text = shards.train[:1_000_000]
    exact = count_ngrams(text, shards.validation, 3)
    sampled = count_ngrams(text, shards.validation, 3, kept=2**16)
    assert exact.sampled == 1
    assert sampled.sampled == 1 / 16
    # About 700 of some 11,000 are drawn: a standard error of 4 %.
    assert sampled.distinct == pytest.approx(exact.distinct, rel=0.15)
    assert sampled.seen == pytest.approx(exact.seen, abs=0.05)
