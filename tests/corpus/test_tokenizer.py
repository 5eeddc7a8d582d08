"""Tokenizer compression against the same rules written with the standard library."""

from __future__ import annotations

import copy
import re
import unicodedata
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engram_sweep.corpus.tokenizer import TOKENIZERS, compression

# Unicode's White_Space; str.strip takes four more control characters.
WHITE = "".join(
    chr(c)
    for c in [
        *range(9, 14),
        32,
        0x85,
        0xA0,
        0x1680,
        *range(0x2000, 0x200B),
        0x2028,
        0x2029,
        0x202F,
        0x205F,
        0x3000,
    ]
)


def key(text: str, raw: str) -> str:
    if "\ufffd" in text:
        return raw
    text_ = unicodedata.normalize("NFD", unicodedata.normalize("NFKC", text))
    text_ = "".join(c for c in text_ if unicodedata.category(c)[0] != "M")
    # One character at a time: str.lower knows the final sigma.
    text_ = re.sub(r"[ \t\r\n]+", " ", "".join(c.lower() for c in text_))
    return (text_ if text_ == " " else text_.strip(WHITE)) or text


def classes_of(pieces: list[tuple[str, str]]) -> list[int]:
    seen: dict[str, int] = {}
    return [seen.setdefault(key(*piece), len(seen)) for piece in pieces]


class Pieces:
    """A tokenizer with these tokens."""

    pad_id = document_end = 0

    def __init__(self, texts: list[str]) -> None:
        self.texts, self.vocab_size = texts, len(texts)

    def encode(self, text: str) -> np.ndarray:
        raise NotImplementedError

    def encode_batch(self, texts: Sequence[str]) -> list[np.ndarray]:
        raise NotImplementedError

    def decode(self, ids: Sequence[int]) -> str:
        raise NotImplementedError

    def fingerprint(self) -> str:
        raise NotImplementedError

    def piece(self, token: int) -> tuple[str, str]:
        return self.texts[token], f"raw{token}"


@pytest.fixture(scope="module")
def deepseek() -> np.ndarray:
    return compression(TOKENIZERS["deepseek-v3"])


def test_deepseek_v3_has_98627_classes(deepseek):
    assert len(deepseek) == 128_815
    assert deepseek.max() + 1 == len(set(deepseek.tolist())) == 98_627
    assert pytest.approx(0.23435, abs=1e-5) == 1 - 98_627 / 128_815, (
        "the paper's Table 6 prints 23.43 %"
    )


def test_deepseek_v3_equals_the_rules_token_by_token(deepseek):
    tokenizer = TOKENIZERS["deepseek-v3"]
    pieces = [tokenizer.piece(token) for token in range(tokenizer.vocab_size)]
    wanted = np.array(classes_of(pieces))
    # Characters that newer Unicode tables than Python's know may differ, were there any.
    assert np.array_equal(deepseek, wanted)


def test_largest_classes_are_the_papers(deepseek):
    """Table 6: white space 163, 'a' 54, 'o' 40, 'e' 35, 'i' 30."""
    tokenizer = TOKENIZERS["deepseek-v3"]
    sizes = np.bincount(deepseek)
    merged = {
        text: int(sizes[deepseek[tokenizer.encode(text)[0]]]) for text in (" ", "a", "o", "e", "i")
    }
    assert merged == {" ": 163, "a": 54, "o": 40, "e": 35, "i": 30}


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.text(st.sampled_from(" \t\nabABéÉÅßΣİﬁ①ａ中\u0301\ufffd\u3000\ue000"), max_size=4),
        min_size=1,
    )
)
def test_any_vocabulary_equals_the_rules(texts):
    # The sentinel itself is a character that no tokenizer's text should hold; the rules above do
    # not know it.
    texts = [text.replace("\ue000", "") for text in texts]
    tokenizer = Pieces(texts)
    wanted = classes_of([tokenizer.piece(token) for token in range(len(texts))])
    assert compression(tokenizer).tolist() == wanted


def test_bytes_merge_case_only():
    classes = compression(TOKENIZERS["bytes"])
    assert classes[ord("a")] == classes[ord("A")] != classes[ord("b")]
    # A lone byte of a longer character is no text: it stays itself.
    assert len(set(classes[128:].tolist())) == 128
    white = {int(classes[byte]) for byte in b" \t\r\n"}
    assert len(white) == 1


def test_a_special_token_in_a_text_ends_no_document_in_any_process():
    tokenizer = TOKENIZERS["deepseek-v3"]
    text = "a<｜end▁of▁sentence｜>b"
    for each in (tokenizer, copy.deepcopy(tokenizer)):
        ids = each.encode(text)
        assert tokenizer.document_end not in ids
        assert each.decode(ids.tolist()) == text
