from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from engram_sweep.inside import likelihood
from engram_sweep.inside.likelihood import likelihoods
from engram_sweep.model.transformer import Transformer
from tests.model.shapes import GEOMETRIES, build

START = 1


def brute(
    model: Transformer, context: list[int], continuation: list[int], window: int
) -> tuple[float, bool]:
    """Token by token, each behind what the window still holds when all is read at once."""
    text = [START, *context, *continuation][-window - 1 :]
    total, greedy = 0.0, True
    for at in range(len(text) - len(continuation), len(text)):
        with torch.inference_mode():
            logits = model(torch.tensor([text[:at]]))[0, -1].double()
        total += float(logits.log_softmax(-1)[text[at]])
        greedy &= int(logits.argmax()) == text[at]
    return total, greedy


ids = st.lists(st.integers(2, 39), max_size=12)


@pytest.mark.parametrize("name", ["engram", "moe", "streams", "over_encoding"])
@given(pairs=st.lists(st.tuples(ids, ids.filter(len)), min_size=1, max_size=6))
@settings(max_examples=10, deadline=None)
def test_many_at_once_are_as_likely_as_one_token_after_the_other(
    name: str, pairs: list[tuple[list[int], list[int]]]
) -> None:
    model, window = build(GEOMETRIES[name]), 14
    arrays = [(np.array(context), np.array(after)) for context, after in pairs]
    found = likelihoods(model, arrays, window, START)
    for one, (context, after) in zip(found, pairs, strict=True):
        log, greedy = brute(model, context, after, window)
        assert one.log == pytest.approx(log, abs=1e-4)
        assert one.greedy == greedy
        assert one.cut == (len(context) + len(after) > window)


def test_batches_change_nothing_and_a_continuation_beyond_the_window_has_no_likelihood(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model, rng = build(GEOMETRIES["engram"]), np.random.default_rng(0)
    pairs = [(rng.integers(2, 40, n), rng.integers(2, 40, m)) for n, m in ((3, 4), (9, 2), (0, 8))]
    whole = likelihoods(model, [*pairs, (pairs[0][0], rng.integers(2, 40, 13))], 12, START)
    assert np.isnan(whole[-1].log)
    assert not whole[-1].greedy
    monkeypatch.setattr(likelihood, "MAX_TOKENS", 1)
    for one, alone in zip(whole, likelihoods(model, pairs, 12, START), strict=False):
        assert one.log == pytest.approx(alone.log, abs=1e-5)
