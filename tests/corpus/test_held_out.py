from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engram_sweep.corpus.held_out import held_out
from engram_sweep.errors import UserError


def one_by_one(keys: list[int], lengths: list[int], share: float) -> list[bool]:
    """The same choice, a key at a time."""
    chosen: set[int] = set()
    for key in sorted(set(keys))[:-1]:
        tokens = sum(n for k, n in zip(keys, lengths, strict=True) if k in chosen)
        if not chosen or tokens < share * sum(lengths):
            chosen.add(key)
    return [key in chosen for key in keys]


@given(
    st.lists(st.tuples(st.integers(0, 12), st.integers(1, 1000)), min_size=1, max_size=30),
    st.sampled_from([0.001, 0.05, 0.5, 0.999]),
)
def test_the_choice_is_that_of_a_loop_over_keys(
    documents: list[tuple[int, int]], share: float
) -> None:
    keys, lengths = [key for key, _ in documents], [length for _, length in documents]
    if len(set(keys)) == 1:
        with pytest.raises(UserError, match="expected at least two different documents"):
            held_out(np.array(keys, np.uint64), np.array(lengths), share)
        return
    chosen = held_out(np.array(keys, np.uint64), np.array(lengths), share)
    assert chosen.tolist() == one_by_one(keys, lengths, share)
    assert 0 < chosen.sum() < len(keys)


def test_a_larger_share_holds_out_more_of_the_same() -> None:
    rng = np.random.default_rng(0)
    keys, lengths = rng.integers(0, 2**64, 200, np.uint64), rng.integers(1, 1000, 200)
    few, many = held_out(keys, lengths, 0.05), held_out(keys, lengths, 0.1)
    assert (few <= many).all()
    assert 0.05 <= lengths[few].sum() / lengths.sum() < 0.05 + 1000 / lengths.sum()
