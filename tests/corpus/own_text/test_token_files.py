from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engram_sweep.corpus.overlap import documents
from engram_sweep.corpus.own_text import token_files
from engram_sweep.corpus.own_text.token_files import (
    TokenFile,
    TokenRequest,
    import_tokens,
    read_token_file,
)
from engram_sweep.corpus.own_tokenizer import OwnTokenizer, train_bpe
from engram_sweep.corpus.shards import Shards, verified
from engram_sweep.errors import UserError


@pytest.fixture(scope="module")
def tokenizer(speeches: list[str]) -> OwnTokenizer:
    return train_bpe(speeches, 400)


@pytest.fixture(scope="module")
def ids(speeches: list[str], tokenizer: OwnTokenizer) -> np.ndarray:
    """As nanoGPT writes a corpus: every document ended by <|endoftext|>."""
    parts = [np.append(tokenizer.encode(text), tokenizer.document_end) for text in speeches]
    return np.concatenate(parts).astype(np.uint16)


def imported(folder: Path, tokenizer: OwnTokenizer, *train: Path, **changes: Any) -> Shards:
    given: dict[str, Any] = {"validation": (), "kind": "uint16", "validation_share": 0.1}
    return import_tokens(TokenRequest(train, tokenizer=tokenizer, **given | changes), folder)


def llm_c(magic: int, version: int, count: int) -> bytes:
    header = np.zeros(256, np.int32)
    header[:3] = magic, version, count
    return header.tobytes()


def split(tokens: np.ndarray) -> list[tuple[int, ...]]:
    bounds = documents(tokens, 0)
    return sorted(tuple(tokens[a:b].tolist()) for a, b in pairwise(bounds))


def test_every_kind_of_file_gives_the_same_shards(
    ids: np.ndarray, tokenizer: OwnTokenizer, tmp_path: Path
) -> None:
    ids.tofile(tmp_path / "train.bin")
    ids.astype(np.uint32).tofile(tmp_path / "olmo.npy")
    np.save(tmp_path / "numpy.npy", ids.astype(np.int64))
    (tmp_path / "llmc.bin").write_bytes(llm_c(20240520, 1, len(ids)) + ids.tobytes())
    wide = ids.astype(np.uint32)
    (tmp_path / "llama.bin").write_bytes(llm_c(20240801, 7, len(ids)) + wide.tobytes())
    found = [
        imported(tmp_path / name, tokenizer, tmp_path / file, kind=kind).manifest.fingerprint
        for name, file, kind in (
            ("a", "train.bin", "uint16"),
            ("b", "llmc.bin", "uint32"),
        )
    ]
    assert len(set(found)) == 1
    others = [
        imported(tmp_path / name, tokenizer, tmp_path / file, kind="uint32")
        for name, file in (("c", "olmo.npy"), ("d", "numpy.npy"), ("e", "llama.bin"))
    ]
    np.save(tmp_path / "big.npy", ids.astype(">u2"))
    others.append(imported(tmp_path / "f", tokenizer, tmp_path / "big.npy"))
    # What is held out follows from the ids, not from the type of the file.
    assert {shards.manifest.fingerprint for shards in others} == set(found)
    for shards in (*others, verified(tmp_path / "a")):
        assert shards.train.dtype == np.uint16
        assert sorted(split(shards.train) + split(shards.validation)) == split(ids)
        assert 0.1 <= len(shards.validation) / len(ids) < 0.2
        assert shards.own_tokenizer == tokenizer.content()


def test_copies_in_files_of_two_types_lie_on_one_side(
    ids: np.ndarray, tokenizer: OwnTokenizer, tmp_path: Path
) -> None:
    np.save(tmp_path / "a.npy", ids)
    np.save(tmp_path / "b.npy", ids.astype(np.int64))
    shards = imported(tmp_path / "own", tokenizer, tmp_path / "a.npy", tmp_path / "b.npy")
    assert not set(split(shards.train)) & set(split(shards.validation))


def test_files_that_are_held_out_already_stay_so(
    ids: np.ndarray, tokenizer: OwnTokenizer, tmp_path: Path
) -> None:
    cut = int(documents(ids, 0)[5])
    # The last document lacks its end: it gets one.
    ids[cut:-1].tofile(tmp_path / "train.bin")
    ids[:cut].tofile(tmp_path / "val.bin")
    shards = imported(
        tmp_path / "own", tokenizer, tmp_path / "train.bin", validation=(tmp_path / "val.bin",)
    )
    assert np.array_equal(shards.train, ids[cut:])
    assert np.array_equal(shards.validation, ids[:cut])
    assert shards.manifest.train_documents == len(documents(ids, 0)) - 1 - 5


@given(
    st.lists(st.integers(0, 3), min_size=1, max_size=30),
    st.randoms(use_true_random=False),
    st.integers(1, 9),
)
def test_pieces_are_the_chosen_documents(tokens: list[int], random: Any, block: int) -> None:
    file = TokenFile(np.array(tokens, np.uint8), 0, np.dtype(np.uint8))
    chosen = np.array([random.random() < 0.5 for _ in file.lengths])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(token_files, "_BLOCK", block)
        found = [token for piece in file.pieces(chosen) for token in piece.tolist()]
    wanted = []
    for (a, b), taken in zip(pairwise(file.bounds), chosen, strict=True):
        document = tokens[a:b]
        wanted += (document if document[-1] == 0 else [*document, 0]) if taken else []
    assert found == wanted


@pytest.mark.parametrize(
    ("content", "kind", "says"),
    [
        (b"", "uint16", "expected ids, it is empty"),
        (b"\1\2\3", "uint16", "expected uint16 ids: 3 bytes are no whole number of them"),
        (np.arange(1, 400, dtype=np.uint32), "uint16", "expected uint16 ids, but every second one"),
        (np.arange(1, 401, dtype=np.uint16), "uint32", "expected ids from 0 to 399, got 131,073 "),
        (np.array([1, 2, 400], np.uint16), "uint16", "expected ids from 0 to 399, got 400 at pos"),
        (np.array([1, 2, -1], np.int32), "int32", "expected ids from 0 to 399, got -1 at positi"),
        (
            np.array([1, 2, 3], np.uint16),
            "uint16",
            "expected at least two different documents, one to train on and one to hold out, got "
            "1; documents end by id 0: name another by --document-end, or held-out files by",
        ),
        (b"\x93NUMPY broken", "uint16", "expected uint16 ids: "),
    ],
)
def test_what_is_no_token_file_is_one_line_and_leaves_nothing(
    content: bytes | np.ndarray, kind: str, says: str, tokenizer: OwnTokenizer, tmp_path: Path
) -> None:
    path = tmp_path / "train.bin"
    path.write_bytes(content if isinstance(content, bytes) else content.tobytes())
    with pytest.raises(UserError) as no:
        imported(tmp_path / "own", tokenizer, path, kind=kind)
    assert str(no.value).removeprefix(f"{path}: ").startswith(says)
    assert "\n" not in str(no.value)
    assert [each.name for each in tmp_path.iterdir()] == ["train.bin"]


@pytest.mark.parametrize(
    ("header", "rest", "says"),
    [
        ((20240520, 1, 5), 8, "expected 10 bytes of 5 uint16 ids behind llm.c's header, found 8"),
        ((20240801, 7, 2), 12, "expected 8 bytes of 2 uint32 ids behind llm.c's header, found 12"),
        ((20240520, 1, 0), 0, "expected 0 bytes of 0 uint16 ids behind llm.c's header, found 0"),
        ((20240520, 2, 4), 8, "expected version 1 of llm.c's uint16 files, got 2"),
        ((20240801, 1, 4), 16, "expected version 7 of llm.c's uint32 files, got 1"),
        ((20240520, 1, 4), -9, "expected llm.c's header of 1,024 bytes, it is shorter"),
    ],
)
def test_files_of_llm_c_that_are_cut_short_or_new_are_one_line(
    header: tuple[int, int, int], rest: int, says: str, tmp_path: Path
) -> None:
    path = tmp_path / "train.bin"
    path.write_bytes((llm_c(*header) + bytes(max(rest, 0)))[: 1024 + rest])
    with pytest.raises(UserError) as no:
        read_token_file(path, "uint16", 400, 0)
    assert str(no.value) == f"{path}: {says}"


@pytest.mark.parametrize("array", [np.ones(9), np.ones((3, 3), np.int64), np.array(["a"], object)])
def test_arrays_of_something_else_are_one_line(array: np.ndarray, tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", array)
    with pytest.raises(UserError, match=r"a\.npy: expected .* ids"):
        read_token_file(tmp_path / "a.npy", "uint16", 400, 0)
    np.save(tmp_path / "empty.npy", np.empty(0, np.uint32))
    with pytest.raises(UserError, match=r"empty\.npy: expected ids, it is empty"):
        read_token_file(tmp_path / "empty.npy", "uint16", 400, 0)
    with pytest.raises(UserError, match=r"b\.npy: expected uint16 ids: .*No such file"):
        read_token_file(tmp_path / "b.npy", "uint16", 400, 0)
