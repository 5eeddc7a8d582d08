from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engram_sweep.corpus.retrieval import (
    MAX_HOPS,
    MIN_TOKENS,
    NAMES,
    ROUNDS,
    VALUES,
    Symbols,
    mixed_in,
    symbols_of,
    write_text,
)
from engram_sweep.corpus.tokenizer import TOKENIZERS, ByteTokenizer

BYTES = TOKENIZERS["bytes"]
SYMBOLS = symbols_of(BYTES)


def interpret(tokens: list[int], symbols: Symbols) -> dict[int, tuple[int, int, int]]:
    """Read statements one after the other; return each answer's right value, place and links."""
    known: dict[int, tuple[int, int, int]] = {}
    found: dict[int, tuple[int, int, int]] = {}
    for at, token in enumerate(tokens[:-1]):
        if token == symbols.says:
            known[tokens[at + 1]] = (tokens[at + 2], at + 2, 0)
        elif token == symbols.links:
            value, place, links = known[tokens[at + 2]]
            known[tokens[at + 1]] = (value, place, links + 1)
        elif token == symbols.asks:
            found[at + 2] = known[tokens[at + 1]]
    return found


@given(
    length=st.integers(MIN_TOKENS, 400),
    hops=st.integers(0, MAX_HOPS),
    rounds=st.integers(1, ROUNDS),
    seed=st.integers(0, 2**32),
)
@settings(deadline=None)
def test_who_reads_the_statements_knows_every_answer(
    length: int, hops: int, rounds: int, seed: int
) -> None:
    hay = np.arange(length) % 100 + 1
    text = write_text(hay, length, hops, SYMBOLS, np.random.default_rng(seed), rounds)
    assert len(text.tokens) == length
    found = interpret(text.tokens.tolist(), SYMBOLS)
    assert sorted(found) == text.answers.tolist()
    for at, distance in zip(text.answers.tolist(), text.distances.tolist(), strict=True):
        value, place, links = found[at]
        assert text.tokens[at] == value
        assert at - distance == place
        assert links == hops
    # What is left is the stretch of text, in its order.
    kept = text.tokens[text.tokens <= 100]
    assert kept.tolist() == hay[: len(kept)].tolist()
    assert rounds > 1 or len(kept) >= length // 2
    assert len(set(text.tokens[text.answers - 1].tolist())) * rounds == len(text.answers)


def test_values_are_drawn_anew_in_every_text() -> None:
    rng, hay = np.random.default_rng(0), np.ones(64, int)
    first, second = (write_text(hay, 64, 0, SYMBOLS, rng) for _ in range(2))
    assert first.tokens.tolist() != second.tokens.tolist()
    values = [int(write_text(hay, 64, 0, SYMBOLS, rng).tokens[-1]) for _ in range(1000)]
    # Every value is asked for, none much more often than others.
    counts = np.unique(values, return_counts=True)[1]
    assert len(counts) == VALUES
    assert counts.max() < 4 * 1000 / VALUES


@pytest.mark.parametrize("name", sorted(TOKENIZERS))
def test_symbols_are_apart_from_each_other_and_from_special_ids(name: str) -> None:
    tokenizer = TOKENIZERS[name]
    found = symbols_of(tokenizer)
    ids = {found.says, found.links, found.asks, *found.names.tolist(), *found.values.tolist()}
    assert len(ids) == 3 + NAMES + VALUES
    assert not ids & {tokenizer.pad_id, tokenizer.document_end}
    assert all(0 <= one < tokenizer.vocab_size for one in ids)


def test_special_ids_at_the_end_of_a_vocabulary_are_passed_over() -> None:
    class Late(ByteTokenizer):
        document_end, pad_id = 255, 254

    assert symbols_of(Late()).says == 253


def test_no_text_in_utf8_has_the_marks() -> None:
    for mark in (SYMBOLS.says, SYMBOLS.links, SYMBOLS.asks):
        with pytest.raises(UnicodeDecodeError):
            bytes([mark]).decode()


def test_texts_are_the_share_of_what_is_yielded_and_documents_stay() -> None:
    rng = np.random.default_rng(1)
    documents = [np.append(rng.integers(1, 100, n), 0) for n in (30_000, 50, 8_000)]
    pieces = list(mixed_in(documents, 0.02, 128, BYTES))
    texts = [piece for piece in pieces if not any(piece is each for each in documents)]
    assert [piece for piece in pieces if any(piece is each for each in documents)] == documents
    total = sum(map(len, pieces))
    assert sum(map(len, texts)) / total == pytest.approx(0.02, abs=129 / total)
    assert all(MIN_TOKENS < len(text) <= 129 and text[-1] == 0 for text in texts)
    links = [max(one[2] for one in interpret(t.tolist(), SYMBOLS).values()) for t in texts]
    assert set(links) == {0, 1, 2}
    again = list(mixed_in(documents, 0.02, 128, BYTES))
    assert all(np.array_equal(a, b) for a, b in zip(pieces, again, strict=True))
