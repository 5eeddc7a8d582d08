from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from engram_sweep.corpus.tokenizer import TOKENIZERS, compression
from engram_sweep.model.ngrams import NgramRows, multipliers
from engram_sweep.planning.primes import demo_rows
from tests.model import reference
from tests.model.shapes import MEMORY, tokens

TEXT = (
    "Only Alexander the Great could tame the horse Bucephalus.\n"
    "  By the Way, the Milky Way: 四大发明 张仲景 ÀÉ\x00"
)


@pytest.fixture(scope="module")
def deepseek() -> tuple[np.ndarray, np.ndarray]:
    """(classes, ids of a text) of DeepSeek-V3's tokenizer."""
    tokenizer = TOKENIZERS["deepseek-v3"]
    return compression(tokenizer), tokenizer.encode(TEXT)


def test_rows_are_the_released_demos(deepseek):
    """Its own settings: layers 1 and 15, 646,400 rows, 8 heads, orders 2-3, seed 0, pad id 2."""
    classes, ids = deepseek
    primes = reference.demo_primes((1, 15), 646_400, heads=8, max_order=3)
    assert {1: primes[1], 15: primes[15]} == {
        layer: [list(order) for order in table]
        for layer, table in zip((1, 15), demo_rows(2, 646_400, 8, 3), strict=True)
    }
    memory = replace(MEMORY, layers=(1, 15), heads=8, rows=demo_rows(2, 646_400, 8, 3))
    for index, layer in enumerate(memory.layers):
        rows = NgramRows(memory, index, torch.from_numpy(classes), len(classes))
        got = rows.hash(torch.from_numpy(ids.astype(np.int64))[None])[0].flatten(1)
        assert got.tolist() == reference.ngram_rows(
            ids.tolist(), classes.tolist(), primes[layer], layer, 0, 2
        )


def test_first_and_last_primes_of_the_demo():
    """Known integers, so that the reference itself cannot drift."""
    (first, second), (third, fourth) = demo_rows(2, 646_400, 8, 3)
    assert first[:3] == (646_403, 646_411, 646_421)
    flat = [*first, *second, *third, *fourth]
    assert flat == sorted(set(flat))
    assert len(flat) == 32


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_any_hash_equals_plain_integers(data):
    draw = data.draw
    max_order, heads = draw(st.integers(2, 5)), draw(st.integers(1, 4))
    primes = [
        [draw(st.sampled_from([1, 2, 97, 7919, 2_262_403])) for _ in range(heads)]
        for _ in range(max_order - 1)
    ]
    vocab = draw(st.integers(3, 50))
    classes = draw(st.lists(st.integers(0, vocab - 1), min_size=vocab, max_size=vocab))
    layer, seed, end = (
        draw(st.integers(0, 60)),
        draw(st.integers(0, 9)),
        draw(st.sampled_from([None, 0, 1])),
    )
    memory = replace(
        MEMORY,
        layers=(layer,),
        max_order=max_order,
        heads=heads,
        rows=(tuple(map(tuple, primes)),),
        hash_seed=seed,
        document_end=end,
    )
    module = NgramRows(memory, 0, torch.tensor(classes), vocab)
    ids = tokens(2, draw(st.integers(1, 9)), seed=seed, vocab=vocab)
    for window, got in zip(ids.tolist(), module.hash(ids).flatten(2).tolist(), strict=True):
        assert got == reference.ngram_rows(window, classes, primes, layer, seed, memory.pad_id, end)


def test_stacked_rows_do_not_overlap():
    """Every head has its own stretch of the one table."""
    module = NgramRows(MEMORY, 1, None, 40)
    ids = tokens(4, 200)
    stretches = np.cumsum([0, 23, 29, 31, 37])
    for head, column in enumerate(module(ids).flatten(0, 1).T):
        assert stretches[head] <= column.min()
        assert column.max() < stretches[head + 1]
        assert torch.equal(
            column - stretches[head], module.hash(ids).flatten(2).flatten(0, 1)[:, head]
        )


def test_multipliers_leave_room_for_every_class():
    for classes in (2, 256, 98_627, 2**31):
        factors = multipliers(classes, 5, layer=3, seed=0)
        assert (factors % 2 == 1).all()
        assert int(factors.max()) * (classes - 1) < 2**63
        assert factors.tolist() == reference.demo_multipliers(classes, 5, 3, 0)


def test_reset_makes_documents_independent():
    """With the option, one window of two documents hashes as two windows.

    Without it, it does not.
    """
    first, second = tokens(1, 6, seed=1) % 30 + 5, tokens(1, 7, seed=2) % 30 + 5
    first[0, -1] = 1
    apart = {}
    for end in (1, None):
        rows = NgramRows(replace(MEMORY, document_end=end), 0, None, 40)
        both = rows(torch.cat((first, second), dim=1))
        apart[end] = torch.equal(both, torch.cat((rows(first), rows(second)), dim=1))
    assert apart == {1: True, None: False}


def test_a_document_end_is_seen_by_its_own_document():
    rows = NgramRows(replace(MEMORY, document_end=1), 0, None, 40)
    plain = NgramRows(MEMORY, 0, None, 40)
    ids = torch.tensor([[7, 8, 1]])
    assert torch.equal(rows(ids), plain(ids))
