from __future__ import annotations

import copy
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engram_sweep.corpus.own_tokenizer import OwnTokenizer, read_tokenizer, train_bpe
from engram_sweep.corpus.tokenizer import compression
from engram_sweep.errors import UserError

TRAINED = train_bpe(["To be, or not to be: that is the question."] * 3, 300)


@given(st.text())
def test_a_trained_vocabulary_gives_every_text_back(text: str) -> None:
    assert TRAINED.decode(TRAINED.encode(text).tolist()) == text


def test_batch_and_single_agree_and_nothing_ends_within_a_text() -> None:
    texts = ["to be", "", "a<|endoftext|>b"]
    for ids, text in zip(TRAINED.encode_batch(texts), texts, strict=True):
        assert ids.tolist() == TRAINED.encode(text).tolist()
        assert TRAINED.document_end not in ids


def test_the_trained_size_is_met_or_what_the_text_yields() -> None:
    assert train_bpe(["to be or not to be"], 260).vocab_size == 260
    assert 257 < train_bpe(["to be"], 100_000).vocab_size < 270


def test_a_copy_in_another_process_has_the_same_settings() -> None:
    other = copy.deepcopy(TRAINED)
    assert "library" not in other.__getstate__()
    assert other.encode("a<|endoftext|>").tolist() == TRAINED.encode("a<|endoftext|>").tolist()
    assert other.fingerprint() == TRAINED.fingerprint()


def test_truncation_and_padding_of_the_file_are_left_out() -> None:
    library = copy.deepcopy(TRAINED.library)
    library.enable_truncation(4)
    library.enable_padding(length=4)
    cut = OwnTokenizer(library.to_str().encode())
    assert len(cut.encode("question " * 50)) > 4
    assert len(cut.encode("a")) == 1


@pytest.mark.parametrize(
    ("content", "document_end", "says"),
    [
        (b"{}", None, "t.json: expected a tokenizer.json of the tokenizers library: "),
        (b"\xff", None, "t.json: expected a tokenizer.json of the tokenizers library: "),
        (TRAINED.content(), "<end>", "t.json: expected a token that ends documents ('<end>'), it "),
        (TRAINED.content(), "7000", "t.json: expected a token that ends documents (7000), it "),
        # Digits of other scripts are a token's name, and so is a number of thousands of digits.
        (TRAINED.content(), "٣", "t.json: expected a token that ends documents ('٣')"),
        (TRAINED.content(), "9" * 5000, "t.json: expected a token that ends documents ('999"),
        (
            TRAINED.content().replace(b"<|endoftext|>", b"<end>"),
            None,
            "t.json: expected a token that ends documents (one of <|endoftext|>, ",
        ),
    ],
)
def test_what_is_no_tokenizer_is_one_line(
    content: bytes, document_end: str | None, says: str
) -> None:
    with pytest.raises(UserError) as no:
        OwnTokenizer(content, document_end, "t.json")
    assert str(no.value).startswith(says)
    assert "\n" not in str(no.value)


def test_the_end_of_documents_is_found_or_named() -> None:
    assert TRAINED.document_end == TRAINED.pad_id == 0
    other = TRAINED.content().replace(b"<|endoftext|>", b"<end>")
    assert OwnTokenizer(other, "<end>").document_end == 0
    assert OwnTokenizer(other, "7").document_end == 7


def test_a_vocabulary_with_gaps_has_room_for_its_largest_id() -> None:
    file = json.loads(TRAINED.content())
    file["model"]["vocab"]["~"] = 999
    gaps = OwnTokenizer(json.dumps(file).encode())
    assert gaps.vocab_size == 1000
    assert gaps.encode("~").tolist() == [999]
    assert len(compression(gaps)) == 1000


def test_names_and_paths(tmp_path: Path) -> None:
    assert read_tokenizer("bytes") == "bytes"
    path = tmp_path / "tokenizer.json"
    path.write_bytes(TRAINED.content())
    found = read_tokenizer(str(path))
    assert isinstance(found, OwnTokenizer)
    assert np.array_equal(found.encode("to be"), TRAINED.encode("to be"))
    with pytest.raises(UserError, match=r"expected one of bytes, deepseek-v3 or a tokenizer\.json"):
        read_tokenizer("gpt2")
    with pytest.raises(UserError, match=r"--document-end: expected a tokenizer\.json beside it"):
        read_tokenizer("bytes", "0")
