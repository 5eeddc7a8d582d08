"""Text -> token shards on disk, made once, fingerprinted, memory-mapped by every run."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from stat import S_ISREG

import numpy as np
import xxhash

from engram_sweep.atomic_files import read_plain
from engram_sweep.corpus import retrieval
from engram_sweep.corpus.held_out import held_out
from engram_sweep.corpus.manifest import DTYPES, FILES, Manifest, fingerprint
from engram_sweep.corpus.own_tokenizer import FILE_NAME, OWN
from engram_sweep.corpus.sources import SHARDS, SOURCES
from engram_sweep.corpus.tokenizer import TOKENIZERS, UNREADABLE_ARRAY
from engram_sweep.corpus.writer import write_shards
from engram_sweep.errors import UserError
from engram_sweep.spec import CorpusSpec, canonical_json, from_json

_SCHEMA = 2


@dataclass(frozen=True)
class Shards:
    """An opened shard folder. Arrays are read-only memory maps."""

    manifest: Manifest
    train: np.ndarray
    validation: np.ndarray
    compression: np.ndarray
    """(V,) int64, see `engram_sweep.corpus.tokenizer.compression`."""
    own_tokenizer: bytes = b""
    """The folder's `tokenizer.json`, if the tokenizer is the user's own."""

    def tokenizer_fingerprint(self) -> str:
        """xxh3_128 of the tokenizer's name and compression map, and of the user's own file."""
        digest = xxhash.xxh3_128(self.manifest.tokenizer.encode())
        digest.update(np.ascontiguousarray(self.compression, dtype="<i8").tobytes())
        digest.update(self.own_tokenizer)
        return digest.hexdigest()


def prepare(corpus: CorpusSpec, cache: Path, given: Path | None = None) -> Path:
    """Tokenise a corpus unless the cache holds it already.

    Args:
        corpus: what to tokenise.
        cache: folder of all shard folders.
        given: the shard folder of a corpus whose source is `shards`, which is tokenised already
            (`write_shards`).

    Returns:
        The shard folder, complete: it is written beside and renamed into place.

    Raises:
        UserError: the package is missing, or its text is not the one that the scale expects
            (`corpus.fingerprint`).
    """
    if corpus.source == SHARDS:
        return _checked(corpus, given)
    source = SOURCES[corpus.source]
    parts = [_SCHEMA, corpus.source, source.version(), corpus.tokenizer, corpus.validation_share]
    if corpus.retrieval_share:
        parts += [retrieval.VERSION, corpus.retrieval_share, corpus.retrieval_tokens]
    key = canonical_json(parts)
    folder = cache / f"{corpus.source}-{corpus.tokenizer}-{xxhash.xxh3_64_hexdigest(key.encode())}"
    if not (folder / "manifest.json").exists():
        try:
            _build(corpus, folder, cache)
        except FileExistsError:
            # Another driver has renamed its copy into place first; theirs is the same.
            if not (folder / "manifest.json").exists():
                raise
    found = verified(folder).manifest.fingerprint
    if corpus.fingerprint not in (None, found):
        raise UserError(
            f"corpus {corpus.source} {source.version()}: expected fingerprint "
            f"{corpus.fingerprint}, found {found}; install the version that constraints.txt "
            "pins, or change corpus.fingerprint in the scale"
        )
    return folder


def _checked(corpus: CorpusSpec, folder: Path | None) -> Path:
    """Return the user's own shard folder, if it is what the scale expects."""
    if folder is None:
        raise UserError(
            "corpus: expected a folder of token shards; name it by --corpus FOLDER or "
            "launch.corpus_path"
        )
    manifest = own_shards(folder).manifest
    for key, wanted, found in (
        ("tokenizer", corpus.tokenizer, manifest.tokenizer),
        # It is part of every run's identity: without it, runs on two corpora would share their ids.
        ("fingerprint", corpus.fingerprint, manifest.fingerprint),
    ):
        if wanted != found:
            asked = (
                f"{wanted} (corpus.{key} of the scale)"
                if wanted
                else f"the scale to name it as corpus.{key}"
            )
            raise UserError(f"{folder}: {key}: expected {asked}, the shards have {found}")
    return folder


def own_shards(folder: Path) -> Shards:
    """Open a folder that a user names, and digest all that is in it.

    Raises:
        UserError: it is no shard folder, cannot be opened, or was changed.
    """
    if not (folder / "manifest.json").exists():
        raise UserError(
            f"{folder}: expected a folder of token shards (manifest.json, train.bin, "
            "validation.bin)"
        )
    return verified(folder)


def load(folder: Path) -> Shards:
    """Open a shard folder.

    Raises:
        UserError: a file is missing or shorter than the manifest says, or no such file at all.
    """
    try:
        data = json.loads(read_plain(folder / "manifest.json"))
        manifest = from_json(Manifest, data)
        if manifest.dtype not in DTYPES:
            raise ValueError(f"dtype: expected one of {', '.join(DTYPES)}, got {manifest.dtype!r}")
        stamp(folder)
        train = np.memmap(folder / "train.bin", manifest.dtype, "r", shape=(manifest.train_tokens,))
        validation = np.memmap(
            folder / "validation.bin", manifest.dtype, "r", shape=(manifest.validation_tokens,)
        )
        classes = np.load(folder / "compression.npy")
        if classes.ndim != 1 or classes.dtype != np.int64:
            raise ValueError(f"compression.npy: expected (V,) int64, got {classes.shape}")
        own = read_plain(folder / FILE_NAME) if manifest.tokenizer == OWN else b""
        return Shards(manifest, train, validation, classes, own)
    # JSON may be nested without end.
    except (*UNREADABLE_ARRAY, RecursionError) as error:
        raise UserError(
            f"{folder}: damaged shards ({error}); delete the folder to tokenise again"
        ) from error


def verified(folder: Path) -> Shards:
    """Open a shard folder and digest all that is in it.

    Raises:
        UserError: it cannot be opened, or holds something else than its manifest says.
    """
    shards = load(folder)
    found = fingerprint(shards.train, shards.validation, shards.compression, shards.own_tokenizer)
    if found != shards.manifest.fingerprint:
        raise UserError(
            f"{folder}: expected fingerprint {shards.manifest.fingerprint} (manifest.json), its "
            f"files have {found}: they were changed; delete the folder to tokenise again"
        )
    return shards


def stamp(folder: Path) -> str:
    """Return sizes and times (nanoseconds) of a shard folder's files, to see a change by.

    Raises:
        OSError: one is missing, or is no plain file.
    """
    own = folder / FILE_NAME
    names = (*FILES, FILE_NAME) if own.exists() else FILES
    found = [(folder / name).stat() for name in names]
    if not all(S_ISREG(each.st_mode) for each in found):
        raise OSError(f"expected plain files ({', '.join(FILES)})")
    return " ".join(f"{each.st_size}:{each.st_mtime_ns}" for each in found)


def unchanged(folder: Path, expected: str, stamped: str) -> Shards:
    """Open a shard folder that a driver has digested, perhaps days ago.

    Args:
        folder: the shards.
        expected: their fingerprint then.
        stamped: their `stamp` then; if it is the same they are not digested again.

    Raises:
        UserError: they cannot be opened, or are other ones now.
    """
    shards = load(folder)
    if stamp(folder) != stamped:
        shards = verified(folder)
    if shards.manifest.fingerprint != expected:
        raise UserError(
            f"{folder}: expected the corpus that the sweep was launched with ({expected}), found "
            f"{shards.manifest.fingerprint}"
        )
    return shards


def _build(corpus: CorpusSpec, folder: Path, cache: Path) -> None:
    source, tokenizer = SOURCES[corpus.source], TOKENIZERS[corpus.tokenizer]
    names, texts = zip(*source.documents(), strict=True)
    documents = [np.append(ids, tokenizer.document_end) for ids in tokenizer.encode_batch(texts)]
    keys = np.array([xxhash.xxh3_64_intdigest(name.encode()) for name in names], np.uint64)
    chosen = held_out(keys, np.array([len(ids) for ids in documents]), corpus.validation_share)
    train = [ids for ids, out in zip(documents, chosen, strict=True) if not out]
    if share := corpus.retrieval_share:
        train = list(retrieval.mixed_in(train, share, corpus.retrieval_tokens, tokenizer))
    write_shards(
        folder,
        train=train,
        validation=(ids for ids, out in zip(documents, chosen, strict=True) if out),
        tokenizer=corpus.tokenizer,
        source=corpus.source,
        source_version=source.version(),
        licence=source.licence,
        train_documents=len(train),
        validation_documents=tuple(np.array(names)[chosen].tolist()),
        cache=cache,
    )
