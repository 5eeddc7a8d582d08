"""Token ids -> a shard folder, checked on the way."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

import numpy as np

from engram_sweep.corpus.manifest import Manifest, dtype_of, fingerprint
from engram_sweep.corpus.overlap import documents, held_out_in_train
from engram_sweep.corpus.own_tokenizer import FILE_NAME, OWN, OwnTokenizer
from engram_sweep.corpus.tokenizer import TOKENIZERS, Tokenizer, cached_compression
from engram_sweep.errors import UserError

MAX_OVERLAP = 0.5
"""Share of the held-out tokens that may stand in documents that are trained on, too."""
Ids = np.ndarray | Iterable[np.ndarray]
"""(tokens,) ids, or pieces of them one after the other."""


def write_shards(
    folder: Path,
    *,
    cache: Path,
    train: Ids,
    validation: Ids,
    tokenizer: str | OwnTokenizer,
    source: str,
    source_version: str,
    licence: str,
    train_documents: int,
    validation_documents: tuple[str, ...],
) -> Manifest:
    """Make a shard folder of a corpus that is tokenised already.

    Ids are stored in the smallest type that holds the vocabulary, whatever type they come in.

    Args:
        folder: to be made, or empty; it is written beside and renamed into place.
        cache: where the tokenizer's compression map is kept for the next corpus.
        train: ids, every document ended by the tokenizer's `document_end`; an array (a memory map,
            too) or pieces of one.
        validation: the held-out ids.
        tokenizer: its name in `TOKENIZERS`, or the user's own.
        source: where the text is from.
        source_version: which version of it.
        licence: under which terms.
        train_documents: how many documents `train` holds.
        validation_documents: names of the held-out documents.

    Returns:
        What was written; its fingerprint goes to `corpus.fingerprint` of the scale.

    Raises:
        UserError: ids are no integers, not in one dimension, outside the vocabulary or missing, or
            most of what is held out is trained on, too. Nothing is left behind.
        FileExistsError: the folder is there and not empty.

    Example:
        `write_shards(Path("data/mine"), train=np.frombuffer(b"to be\0", np.uint8), ...)`
    """
    own = isinstance(tokenizer, OwnTokenizer)
    name, known = (OWN, tokenizer) if own else (tokenizer, TOKENIZERS[tokenizer])
    folder.parent.mkdir(parents=True, exist_ok=True)
    building = Path(tempfile.mkdtemp(dir=folder.parent, prefix=".building-"))
    try:
        stored = {
            which: _write(building / f"{which}.bin", which, ids, name, known)
            for which, ids in (("train", train), ("validation", validation))
        }
        _refuse_overlap(stored["train"], stored["validation"], known.document_end)
        classes = cached_compression(known, name, cache)
        np.save(building / "compression.npy", classes)
        content = tokenizer.content() if own else b""
        if own:
            (building / FILE_NAME).write_bytes(content)
        manifest = Manifest(
            source=source,
            source_version=source_version,
            licence=licence,
            tokenizer=name,
            document_end=known.document_end,
            dtype=stored["train"].dtype.str,
            train_tokens=len(stored["train"]),
            validation_tokens=len(stored["validation"]),
            train_documents=train_documents,
            validation_documents=validation_documents,
            fingerprint=fingerprint(stored["train"], stored["validation"], classes, content),
        )
        with (building / "manifest.json").open("w") as file:
            json.dump(asdict(manifest), file, indent=1)
            file.flush()
            os.fsync(file.fileno())
        _into_place(building, folder)
    finally:
        shutil.rmtree(building, ignore_errors=True)
    return manifest


def _into_place(building: Path, folder: Path) -> None:
    """Rename a finished folder; one that mkdtemp made is private, others may read a corpus.

    Raises:
        FileExistsError: the folder is there and not empty.
    """
    umask = os.umask(0)
    os.umask(umask)
    building.chmod(0o777 & ~umask)
    try:
        building.rename(folder)
    except OSError:
        if folder.is_dir() and any(folder.iterdir()):
            raise FileExistsError(f"{folder}: expected no such folder, or an empty one") from None
        raise


def _write(path: Path, which: str, ids: Ids, name: str, tokenizer: Tokenizer) -> np.ndarray:
    """Store ids piece by piece and return them as a memory map.

    Raises:
        UserError: they are not what the vocabulary has.
    """
    dtype, count = dtype_of(tokenizer.vocab_size), 0
    with path.open("wb") as file:
        for piece in (ids,) if isinstance(ids, np.ndarray) else ids:
            if piece.ndim != 1:
                raise UserError(f"{which}: expected ids in one dimension, got {piece.shape}")
            if piece.dtype.kind not in "iu":
                raise UserError(f"{which}: expected integer ids, got {piece.dtype}")
            for block in (piece[i : i + _BLOCK] for i in range(0, len(piece), _BLOCK)):
                check_ids(block, tokenizer.vocab_size, f"{which}:", count)
                block.astype(dtype).tofile(file)
                count += len(block)
        file.flush()
        os.fsync(file.fileno())
    if count < 2:
        raise UserError(f"{which}: expected at least two tokens, got {count}")
    return np.memmap(path, dtype, "r", shape=(count,))


_BLOCK = 2**24
"""Ids that are checked and converted at once: a memory map may be larger than the memory."""


def check_ids(ids: np.ndarray, vocab_size: int, at: str, first: int = 0) -> None:
    """Refuse ids that a vocabulary does not have.

    Args:
        ids: (n,) integers.
        vocab_size: V; ids are 0..V-1.
        at: what they are, for the message.
        first: position of the first one.

    Raises:
        UserError: one of them lies outside; says which, and at which position.
    """
    if not len(ids) or (int(ids.min()) >= 0 and int(ids.max()) < vocab_size):
        return
    wrong = int(np.flatnonzero((ids < 0) | (ids >= vocab_size))[0])
    raise UserError(
        f"{at} expected ids from 0 to {vocab_size - 1:,}, got {int(ids[wrong]):,} at position "
        f"{first + wrong:,}"
    )


def _refuse_overlap(train: np.ndarray, validation: np.ndarray, document_end: int) -> None:
    """Refuse held-out text that is trained on: its loss would be one of memory alone."""
    lengths = np.diff(documents(validation, document_end))
    seen = lengths[held_out_in_train(train, validation, document_end)].sum()
    if seen > MAX_OVERLAP * len(validation):
        raise UserError(
            "validation: expected documents that are not in train, got "
            f"{seen / len(validation):.0%} of the tokens in documents that are in both"
        )
