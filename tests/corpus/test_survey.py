from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from engram_sweep.corpus.own_tokenizer import train_bpe
from engram_sweep.corpus.shards import load
from engram_sweep.corpus.survey import survey
from engram_sweep.corpus.writer import write_shards

LONG = "To be, or not to be: that is the question. " * 3


def shards_of(folder: Path, train: list[str], held_out: list[str], bpe: bool):
    tokenizer = train_bpe(train, 280) if bpe else "bytes"

    def ids(texts: list[str]) -> np.ndarray:
        encoded = [
            np.frombuffer(text.encode(), np.uint8) if isinstance(tokenizer, str)
            else tokenizer.encode(text)
            for text in texts
        ]  # fmt: skip
        return np.concatenate([np.append(each, 0) for each in encoded])

    write_shards(
        folder,
        cache=folder.parent,
        train=ids(train),
        validation=ids(held_out),
        tokenizer=tokenizer,
        source="",
        source_version="",
        licence="",
        train_documents=len(train),
        validation_documents=(),
    )
    return load(folder)


@pytest.mark.parametrize("bpe", [False, True])
def test_a_small_corpus_is_surveyed_exactly(tmp_path: Path, bpe: bool) -> None:
    train, held_out = ["abab", "AB", "xyz"], ["xyz", "nothing of this"]
    found = survey(shards_of(tmp_path / "own", train, held_out, bpe))
    assert (found.train_documents, found.validation_documents) == (3, 2)
    assert found.documents_in_both == 0.5
    assert found.samples == ("abab", "AB", "xyz")
    if not bpe:
        assert found.lengths == (3, 3, 4, 5, 5)
        # abab0AB0xyz0, and a and A are one class.
        pairs = ["ab", "ba", "b0", "0a", "0x", "xy", "yz", "z0"]
        assert found.ngrams[0].distinct == len(pairs)
        assert found.ngrams[0].repeated == 2
        assert found.used == 8
        assert found.train_tokens == 12


def test_copied_text_shows(tmp_path: Path) -> None:
    held_out = [f"Quoting: {LONG}", "and a document that is nobody else's, long enough to count"]
    found = survey(shards_of(tmp_path / "own", [f"Hamlet says: {LONG}", "xyz"], held_out, False))
    assert found.documents_in_both == 0
    assert found.copies.seen is not None
    assert 0.3 < found.copies.seen < 0.7
