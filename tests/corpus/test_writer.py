from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engram_sweep.cli.main import main
from engram_sweep.corpus.own_tokenizer import train_bpe
from engram_sweep.corpus.shards import load, prepare, verified
from engram_sweep.corpus.writer import write_shards
from engram_sweep.errors import UserError
from engram_sweep.planning.plan import make_plan
from tests.examples import scale, write_scale

CORPUS = make_plan(scale(corpus__source="shards")).runs[0].spec.corpus
TRAIN = np.frombuffer(b"to be or not to be\0" * 50, np.uint8)
HELD_OUT = np.frombuffer(b"that is the question\0" * 7, np.uint8)


def write(folder: Path, **changes: Any) -> Path:
    """A user's own corpus of bytes."""
    given: dict[str, Any] = {
        "cache": folder.parent / "cached",
        "train": TRAIN,
        "validation": HELD_OUT,
        "tokenizer": "bytes",
        "source": "Hamlet",
        "source_version": "1603",
        "licence": "public domain",
        "train_documents": 50,
        "validation_documents": ("act-5",),
    }
    write_shards(folder, **given | changes)
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write(tmp_path / "own")


def test_what_is_written_is_read(folder):
    shards = verified(folder)
    assert shards.train.tobytes() == TRAIN.tobytes()
    assert shards.validation.tobytes() == HELD_OUT.tobytes()
    assert shards.manifest.source == "Hamlet"
    assert len(shards.compression) == 256
    assert not list(folder.parent.glob(".building-*"))


@pytest.mark.parametrize("kind", [np.uint16, np.int64, ">u4"])
def test_ids_are_stored_in_the_smallest_type_whatever_they_come_in(folder, tmp_path, kind):
    other = write(tmp_path / "wide", train=TRAIN.astype(kind), validation=HELD_OUT.astype(np.int32))
    assert load(other).manifest == load(folder).manifest
    assert (other / "train.bin").stat().st_size == len(TRAIN)


def test_pieces_are_written_one_after_the_other(folder, tmp_path):
    pieces = write(tmp_path / "pieces", train=(TRAIN[i : i + 7] for i in range(0, len(TRAIN), 7)))
    assert load(pieces).manifest == load(folder).manifest


def test_the_users_own_tokenizer_lies_in_the_folder_and_in_the_fingerprint(tmp_path):
    tokenizer = train_bpe(["to be or not to be"], 300)
    ids = {
        which: np.array([*tokenizer.encode(text), 0] * 3)
        for which, text in (("train", "to be"), ("validation", "or not"))
    }
    own = write(tmp_path / "own", tokenizer=tokenizer, **ids)
    shards = verified(own)
    assert shards.own_tokenizer == (own / "tokenizer.json").read_bytes() == tokenizer.content()
    assert shards.manifest.tokenizer == "shards"
    (own / "tokenizer.json").write_bytes(tokenizer.content() + b" ")
    with pytest.raises(UserError, match="expected fingerprint"):
        verified(own)
    (own / "tokenizer.json").unlink()
    with pytest.raises(UserError, match="damaged shards"):
        load(own)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"train": TRAIN.astype(np.float32)}, "train: expected integer ids, got float32"),
        ({"train": TRAIN > 0}, "train: expected integer ids, got bool"),
        (
            {"validation": HELD_OUT.reshape(7, -1)},
            "validation: expected ids in one dimension, got (7, 21)",
        ),
        (
            {"train": np.append(TRAIN.astype(np.int64), 300)},
            "train: expected ids from 0 to 255, got 300 at position 950",
        ),
        (
            {"train": (TRAIN, np.array([5, -1]))},
            "train: expected ids from 0 to 255, got -1 at position 951",
        ),
        ({"validation": HELD_OUT[:1]}, "validation: expected at least two tokens, got 1"),
        (
            {"validation": TRAIN},
            "validation: expected documents that are not in train, got 100% of the tokens in "
            "documents that are in both",
        ),
        (
            {"validation": np.concatenate([TRAIN[:57], HELD_OUT[:21]])},
            "validation: expected documents that are not in train, got 73% of the tokens in "
            "documents that are in both",
        ),
    ],
)
def test_what_is_no_corpus_is_one_line_and_leaves_nothing(tmp_path, changes, says):
    with pytest.raises(UserError) as no:
        write(tmp_path / "own", **changes)
    assert str(no.value) == says
    assert not list(tmp_path.iterdir())


def test_a_few_documents_in_both_are_allowed(tmp_path):
    write(tmp_path / "own", validation=np.concatenate([TRAIN[:19], HELD_OUT[:21]]))


def test_a_folder_that_is_not_empty_is_left_as_it_is(folder):
    with pytest.raises(FileExistsError, match="own: expected no such folder, or an empty one"):
        write(folder, train=TRAIN[:19])
    assert len(load(folder).train) == len(TRAIN)


def test_shards_that_the_scale_names_are_taken_as_they_are(folder, tmp_path):
    corpus = replace(CORPUS, fingerprint=load(folder).manifest.fingerprint)
    assert prepare(corpus, tmp_path / "cache", folder) == folder
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize(
    ("corpus", "given", "says"),
    [
        (
            CORPUS,
            False,
            r"^corpus: expected a folder of token shards; name it by --corpus FOLDER or launch",
        ),
        (CORPUS, "nowhere", r"nowhere: expected a folder of token shards \(manifest\.json, "),
        (
            CORPUS,
            True,
            r"fingerprint: expected the scale to name it as corpus\.fingerprint, the shards have "
            r"[0-9a-f]{32}$",
        ),
        (
            replace(CORPUS, fingerprint="0" * 32),
            True,
            r"fingerprint: expected 0{32} .*, the shards have [0-9a-f]{32}$",
        ),
        (
            replace(CORPUS, tokenizer="deepseek-v3"),
            True,
            r"tokenizer: expected deepseek-v3 .*, the shards have bytes$",
        ),
    ],
)
def test_what_is_missing_is_one_line(folder, tmp_path, corpus, given, says):
    path = folder if given is True else tmp_path / given if given else None
    with pytest.raises(UserError, match=says) as no:
        prepare(corpus, tmp_path / "cache", path)
    assert "\n" not in str(no.value)


def test_damaged_shards_are_one_line(folder, tmp_path):
    (folder / "train.bin").write_bytes(b"")
    with pytest.raises(UserError, match="damaged shards"):
        prepare(CORPUS, tmp_path, folder)


def test_a_plan_needs_no_data_and_a_launch_says_what_is_missing(tmp_path, capsys):
    write_scale(tmp_path, corpus__source="shards")
    assert main(["plan", "example", "--sweeps", str(tmp_path)]) == 0
    capsys.readouterr()
    results = tmp_path / "results"
    assert main(["sweep", "example", "--sweeps", str(tmp_path), "--results", str(results)]) == 2
    assert capsys.readouterr().err.startswith(
        "engram-sweep: corpus: expected a folder of token shards; name it by"
    )
    assert not results.exists()
    words = ["--corpus", str(tmp_path / "none")]
    assert (
        main(["sweep", "example", "--sweeps", str(tmp_path), "--results", str(results), *words])
        == 2
    )
    assert "none: expected a folder of token shards" in capsys.readouterr().err
