from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engram_sweep.corpus import overlap
from engram_sweep.corpus.overlap import among, documents, held_out_in_train

streams = st.lists(st.integers(0, 3), min_size=1, max_size=40)


def split(ids: list[int]) -> list[tuple[int, ...]]:
    """Documents of a stream, one token at a time; 0 ends one."""
    found: list[tuple[int, ...]] = []
    here: list[int] = []
    for token in ids:
        here.append(token)
        if token == 0:
            found.append(tuple(here))
            here = []
    return [*found, tuple(here)] if here else found


@given(streams, st.sampled_from([3, 2**26]))
def test_bounds_are_those_of_a_loop(ids: list[int], block: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(overlap, "_BLOCK", block)
        bounds = documents(np.array(ids), 0).tolist()
    cut = [tuple(ids[a:b]) for a, b in pairwise(bounds)]
    assert cut == split(ids)


@given(streams, streams)
def test_documents_in_both_are_those_of_a_set(train: list[int], held_out: list[int]) -> None:
    found = held_out_in_train(np.array(train, np.uint8), np.array(held_out, np.uint8), 0)
    assert found.tolist() == [each in set(split(train)) for each in split(held_out)]


@given(st.lists(st.integers(0, 9)), st.lists(st.integers(0, 9)))
def test_among_is_numpys_isin(values: list[int], known: list[int]) -> None:
    given_values, given_known = np.array(values, np.uint64), np.sort(np.array(known, np.uint64))
    assert among(given_values, given_known).tolist() == np.isin(given_values, given_known).tolist()
