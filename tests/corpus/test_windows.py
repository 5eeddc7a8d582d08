from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engram_sweep.corpus.windows import train_batch, validation_windows, window_visits


@given(
    length=st.integers(2, 300),
    window=st.integers(1, 20),
    batch=st.integers(1, 9),
    seed=st.integers(0, 3),
)
def test_an_epoch_visits_every_window_once(length: int, window: int, batch: int, seed: int) -> None:
    tokens = np.arange(length)
    windows = (length - 1) // window
    if windows == 0:
        with pytest.raises(ValueError, match="fewer than one window"):
            train_batch(tokens, seed, 0, batch, window)
        return
    steps = -(-2 * windows // batch)
    starts = np.concatenate(
        [train_batch(tokens, seed, t, batch, window)[:, 0] for t in range(steps)]
    )
    for epoch in (starts[:windows], starts[windows : 2 * windows]):
        assert sorted(epoch) == list(range(0, windows * window, window))


def test_a_batch_is_a_function_of_seed_and_step_alone() -> None:
    tokens = np.arange(10_000)
    forward = [train_batch(tokens, 1, t, 4, 32) for t in range(200)]
    backward = [train_batch(tokens, 1, t, 4, 32) for t in reversed(range(200))][::-1]
    assert all((a == b).all() for a, b in zip(forward, backward, strict=True))
    assert (train_batch(tokens, 1, 0, 4, 32) != train_batch(tokens, 2, 0, 4, 32)).any()
    assert all((batch == batch[:, :1] + np.arange(33)).all() for batch in forward)


@given(
    length=st.integers(2, 400),
    window=st.integers(1, 30),
    batch=st.integers(1, 7),
    ranks=st.integers(1, 5),
)
def test_validation_predicts_every_token_after_the_first_once(
    length: int, window: int, batch: int, ranks: int
) -> None:
    tokens = np.arange(length)
    dealt = [list(validation_windows(tokens, batch, window, r, ranks)) for r in range(ranks)]
    assert len({len(each) for each in dealt}) == 1, "a process without a batch would be waited for"
    pieces = [windows for each in dealt for windows, counts in each if counts]
    targets = np.concatenate([piece[:, 1:].ravel() for piece in pieces])
    assert targets.tolist() == list(range(1, length))
    assert all(len(windows) <= batch for each in dealt for windows, _ in each)
    assert all(piece.shape[1] == window + 1 for piece in pieces[:-1])
    assert pieces == sorted(pieces, key=lambda piece: piece[0, 0])
    alone = [windows for windows, counts in validation_windows(tokens, batch, window) if counts]
    assert all(map(np.array_equal, alone, pieces)), "batches are those of one process"


@given(
    length=st.integers(3, 200),
    window=st.integers(1, 12),
    batch=st.integers(1, 7),
    steps=st.integers(0, 40),
    seed=st.integers(0, 3),
)
def test_visits_are_those_of_the_batches(
    length: int, window: int, batch: int, steps: int, seed: int
) -> None:
    tokens, windows = np.arange(length), (length - 1) // window
    if windows == 0:
        return
    read = [train_batch(tokens, seed, t, batch, window)[:, 0] // window for t in range(steps)]
    counted = np.bincount(np.concatenate([np.empty(0, int), *read]), minlength=windows)
    assert window_visits(length, seed, steps, batch, window).tolist() == counted.tolist()
