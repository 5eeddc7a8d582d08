"""Token files of others (nanoGPT's, llm.c's, OLMo's) -> a shard folder."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path

import numpy as np

from engram_sweep.atomic_files import open_plain
from engram_sweep.corpus.held_out import held_out
from engram_sweep.corpus.overlap import document_keys, documents
from engram_sweep.corpus.own_tokenizer import OwnTokenizer
from engram_sweep.corpus.shards import Shards, load
from engram_sweep.corpus.tokenizer import TOKENIZERS, UNREADABLE_ARRAY
from engram_sweep.corpus.writer import check_ids, write_shards
from engram_sweep.errors import UserError

KINDS = ("uint8", "uint16", "uint32", "int32", "int64")
"""What ids of a file without a header may be; little-endian."""
NUMPY_MAGIC = b"\x93NUMPY"
LLM_C_MAGIC = (20240520).to_bytes(4, "little")
"""Begins the header of 1,024 bytes that llm.c writes before its uint16 ids."""
LLM_C_HEADER = 1024
_BLOCK = 2**24
"""Ids that are in memory at once, but for longer documents."""


@dataclass(frozen=True)
class TokenRequest:
    """Which token files are to become a shard folder."""

    train: tuple[Path, ...]
    validation: tuple[Path, ...]
    """Held-out files; none holds `validation_share` of the documents of `train` out."""
    kind: str
    """One of `KINDS`; a file with a header says it itself."""
    tokenizer: str | OwnTokenizer
    """A name in `TOKENIZERS`, or the user's own."""
    validation_share: float
    licence: str = "not stated"


@dataclass(frozen=True)
class TokenFile:
    """The ids of one file, and its documents."""

    ids: np.ndarray
    """(n,), a memory map."""
    document_end: int

    @cached_property
    def bounds(self) -> np.ndarray:
        """(D + 1,) as of `documents`."""
        return documents(self.ids, self.document_end)

    @property
    def lengths(self) -> np.ndarray:
        """(D,) ids of each document."""
        return np.diff(self.bounds)

    @property
    def keys(self) -> np.ndarray:
        """(D,) a hash of each document."""
        return document_keys(self.ids, self.bounds[:-1], self.bounds[1:])

    def pieces(self, chosen: np.ndarray) -> Iterator[np.ndarray]:
        """Yield the ids of some documents, each ended.

        Args:
            chosen: (D,) bool.
        """
        # Whole documents, about _BLOCK ids at a time.
        cuts = np.searchsorted(self.bounds, np.arange(0, len(self.ids), _BLOCK))
        edges = np.unique([*cuts.tolist(), len(self.bounds) - 1]).tolist()
        for first, last in pairwise(edges):
            mask = np.repeat(chosen[first:last], self.lengths[first:last])
            yield self.ids[self.bounds[first] : self.bounds[last]][mask]
        if chosen[-1] and self.ids[-1] != self.document_end:
            yield np.array([self.document_end])


def read_token_file(path: Path, kind: str, vocab_size: int, document_end: int) -> TokenFile:
    """Open a token file and look at every id.

    Args:
        path: raw ids (nanoGPT, OLMo), ids behind llm.c's header, or an array of numpy's.
        kind: type of raw ids, one of `KINDS`.
        vocab_size: V; ids are 0..V-1.
        document_end: the id that ends documents.

    Raises:
        UserError: it cannot be read, is empty, of another type, or holds other ids.
    """
    try:
        ids = _mapped(path, kind)
    except UNREADABLE_ARRAY as error:
        raise UserError(f"{path}: expected {kind} ids: {error}") from None
    if ids.ndim != 1 or ids.dtype.kind not in "iu":
        raise UserError(
            f"{path}: expected integer ids in one dimension, got {ids.dtype} {ids.shape}"
        )
    for first in range(0, len(ids), _BLOCK):
        check_ids(ids[first : first + _BLOCK], vocab_size, f"{path}:", first)
    # The upper half of ids that are twice as wide is 0, at every second place.
    if len(ids) > 2 and not ids[1:_BLOCK:2].any():
        raise UserError(f"{path}: expected {ids.dtype} ids, but every second one is 0: wider ones?")
    return TokenFile(ids, document_end)


def _mapped(path: Path, kind: str) -> np.ndarray:
    with open_plain(path) as file:
        start = file.read(max(len(NUMPY_MAGIC), len(LLM_C_MAGIC)))
    if start.startswith(NUMPY_MAGIC):
        return np.load(path, mmap_mode="r")
    header = LLM_C_HEADER if start.startswith(LLM_C_MAGIC) else 0
    dtype = np.dtype("uint16" if header else kind).newbyteorder("<")
    rest = path.stat().st_size - header
    if rest <= 0 or rest % dtype.itemsize:
        raise ValueError(f"{rest:,} bytes are no whole number of them")
    return np.memmap(path, dtype, "r", offset=header)


def import_tokens(request: TokenRequest, folder: Path) -> Shards:
    """Write the shard folder of token files; nothing is left behind if one of them is wrong.

    Raises:
        UserError: a file is no token file of that type, holds ids that the vocabulary has not, or
            no document ends by which some can be held out.
        FileExistsError: the folder is there and not empty.
    """
    asked = request.tokenizer
    known = TOKENIZERS[asked] if isinstance(asked, str) else asked

    def read(paths: tuple[Path, ...]) -> list[TokenFile]:
        return [
            read_token_file(path, request.kind, known.vocab_size, known.document_end)
            for path in paths
        ]

    train, held = read(request.train), read(request.validation)
    names = ", ".join(str(path) for path in (*request.train, *request.validation))
    # By file, which of its documents are trained on and which are held out.
    if held:
        kept = [np.ones(len(file.lengths), bool) for file in train]
        out = [np.ones(len(file.lengths), bool) for file in held]
    else:
        held = train
        out = _hold_out(train, request.validation_share, names, known.document_end)
        kept = [~mask for mask in out]
    write_shards(
        folder,
        cache=folder.parent / ".compression",
        train=_pieces(train, kept),
        validation=_pieces(held, out),
        tokenizer=asked,
        source=names,
        source_version="not stated",
        licence=request.licence,
        train_documents=sum(int(mask.sum()) for mask in kept),
        validation_documents=(),
    )
    return load(folder)


def _pieces(files: list[TokenFile], chosen: list[np.ndarray]) -> Iterator[np.ndarray]:
    for file, mask in zip(files, chosen, strict=True):
        yield from file.pieces(mask)


def _hold_out(
    files: list[TokenFile], share: float, names: str, document_end: int
) -> list[np.ndarray]:
    """Return which documents of each file are held out.

    Raises:
        UserError: there are no two different documents.
    """
    keys = [file.keys for file in files]
    lengths = np.concatenate([file.lengths for file in files])
    try:
        chosen = held_out(np.concatenate(keys), lengths, share)
    except UserError as error:
        raise UserError(
            f"{names}: {error}; documents end by id {document_end}: name another by "
            "--document-end, or held-out files by --validation"
        ) from None
    return np.split(chosen, np.cumsum([len(each) for each in keys])[:-1])
