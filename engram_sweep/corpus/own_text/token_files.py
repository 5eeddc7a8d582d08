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
from engram_sweep.corpus.manifest import dtype_of
from engram_sweep.corpus.overlap import document_keys, documents
from engram_sweep.corpus.own_tokenizer import OwnTokenizer
from engram_sweep.corpus.shards import Shards, load
from engram_sweep.corpus.tokenizer import TOKENIZERS, UNREADABLE_ARRAY
from engram_sweep.corpus.writer import check_ids, write_shards
from engram_sweep.errors import UserError

KINDS = ("uint8", "uint16", "uint32", "int32", "int64")
"""What ids of a file without a header may be; little-endian."""
NUMPY_MAGIC = b"\x93NUMPY"
LLM_C = {20240520: (1, "uint16"), 20240801: (7, "uint32")}
"""By the number that llm.c's header begins with: its version, and the type of the ids behind it."""
LLM_C_HEADER = 1024
"""Bytes: 256 int32, of which the second is the version and the third counts the ids."""
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
    stored: np.dtype
    """Type in which shards store the ids."""

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
        """(D,) a hash of each document: the same from a file of any type."""
        return document_keys(self.ids, self.bounds[:-1], self.bounds[1:], self.stored)

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
    except UserError:
        raise
    except UNREADABLE_ARRAY as error:
        raise UserError(f"{path}: expected {kind} ids: {error}") from None
    if ids.ndim != 1 or ids.dtype.kind not in "iu":
        raise UserError(
            f"{path}: expected integer ids in one dimension, got {ids.dtype} {ids.shape}"
        )
    if not len(ids):
        raise UserError(f"{path}: expected ids, it is empty")
    for first in range(0, len(ids), _BLOCK):
        check_ids(ids[first : first + _BLOCK], vocab_size, f"{path}:", first)
    # The upper half of ids that are twice as wide is 0, at every second place.
    if len(ids) > 2 and not ids[1:_BLOCK:2].any():
        raise UserError(f"{path}: expected {ids.dtype} ids, but every second one is 0: wider ones?")
    return TokenFile(ids, document_end, dtype_of(vocab_size))


def _mapped(path: Path, kind: str) -> np.ndarray:
    with open_plain(path) as file:
        start = file.read(LLM_C_HEADER)
    if start.startswith(NUMPY_MAGIC):
        return np.load(path, mmap_mode="r")
    words = np.frombuffer(start[: len(start) // 4 * 4], "<i4").tolist()
    if words and words[0] in LLM_C:
        return _behind_header(path, words)
    size, dtype = path.stat().st_size, np.dtype(kind).newbyteorder("<")
    if size % dtype.itemsize:
        raise ValueError(f"{size:,} bytes are no whole number of them")
    if size == 0:
        return np.empty(0, dtype)  # which cannot be mapped
    return np.memmap(path, dtype, "r")


def _behind_header(path: Path, header: list[int]) -> np.ndarray:
    """Map the ids of llm.c; a file that was cut short would pass for another text.

    Raises:
        UserError: it is of another version, or holds more or fewer ids than its header says.
    """
    version, kind = LLM_C[header[0]]
    if len(header) < LLM_C_HEADER // 4:
        raise UserError(f"{path}: expected llm.c's header of {LLM_C_HEADER:,} bytes, it is shorter")
    if header[1] != version:
        raise UserError(
            f"{path}: expected version {version} of llm.c's {kind} files, got {header[1]}"
        )
    dtype = np.dtype(kind).newbyteorder("<")
    rest, wanted = path.stat().st_size - LLM_C_HEADER, header[2] * dtype.itemsize
    if rest != wanted or rest == 0:
        raise UserError(
            f"{path}: expected {wanted:,} bytes of {header[2]:,} {kind} ids behind llm.c's header, "
            f"found {rest:,}"
        )
    return np.memmap(path, dtype, "r", offset=LLM_C_HEADER)


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
