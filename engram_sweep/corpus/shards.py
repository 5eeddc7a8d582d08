"""Text -> token shards on disk, made once, fingerprinted, memory-mapped by every run."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import xxhash

from engram_sweep.corpus.sources import SOURCES
from engram_sweep.corpus.tokenizer import TOKENIZERS, cached_compression
from engram_sweep.errors import UserError
from engram_sweep.spec import CorpusSpec, canonical_json

_SCHEMA = 1


@dataclass(frozen=True)
class Manifest:
    """What a shard folder holds."""

    source: str
    source_version: str
    licence: str
    tokenizer: str
    dtype: str
    train_tokens: int
    validation_tokens: int
    train_documents: int
    validation_documents: tuple[str, ...]
    fingerprint: str


@dataclass(frozen=True)
class Shards:
    """An opened shard folder. Arrays are read-only memory maps."""

    manifest: Manifest
    train: np.ndarray
    validation: np.ndarray
    compression: np.ndarray
    """(V,) int64, see `engram_sweep.corpus.tokenizer.compression`."""


def prepare(corpus: CorpusSpec, cache: Path) -> Path:
    """Tokenise a corpus unless the cache holds it already.

    Args:
        corpus: what to tokenise.
        cache: folder of all shard folders.

    Returns:
        The shard folder, complete: it is written beside and renamed into place.

    Raises:
        UserError: the package is missing, or its text is not the one that the scale expects (`corpus.fingerprint`).
    """
    source = SOURCES[corpus.source]
    key = canonical_json([_SCHEMA, corpus.source, source.version(), corpus.tokenizer, corpus.validation_share])
    folder = cache / f"{corpus.source}-{corpus.tokenizer}-{xxhash.xxh3_64_hexdigest(key.encode())}"
    if not (folder / "manifest.json").exists():
        cache.mkdir(parents=True, exist_ok=True)
        building = Path(tempfile.mkdtemp(dir=cache, prefix=".building-"))
        try:
            _build(corpus, building, cache)
            building.rename(folder)
        except OSError:
            # Another driver may have renamed its copy into place first; theirs is the same.
            if not (folder / "manifest.json").exists():
                raise
        finally:
            shutil.rmtree(building, ignore_errors=True)
    found = load(folder).manifest.fingerprint
    if corpus.fingerprint not in (None, found):
        raise UserError(
            f"corpus {corpus.source} {source.version()}: expected fingerprint {corpus.fingerprint}, found {found}; "
            "install the version that constraints.txt pins, or change corpus.fingerprint in the scale"
        )
    return folder


def load(folder: Path) -> Shards:
    """Open a shard folder.

    Raises:
        UserError: a file is missing or shorter than the manifest says.
    """
    try:
        data = json.loads((folder / "manifest.json").read_text())
        manifest = Manifest(**{**data, "validation_documents": tuple(data["validation_documents"])})
        train = np.memmap(folder / "train.bin", manifest.dtype, "r", shape=(manifest.train_tokens,))
        validation = np.memmap(folder / "validation.bin", manifest.dtype, "r", shape=(manifest.validation_tokens,))
        return Shards(manifest, train, validation, np.load(folder / "compression.npy"))
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise UserError(f"{folder}: damaged shards ({error}); delete the folder to tokenise again") from error


def _build(corpus: CorpusSpec, folder: Path, cache: Path) -> None:
    source, tokenizer = SOURCES[corpus.source], TOKENIZERS[corpus.tokenizer]
    dtype = np.uint8 if tokenizer.vocab_size <= 256 else np.uint16 if tokenizer.vocab_size <= 65_536 else np.uint32
    documents = {
        name: np.append(tokenizer.encode(text), tokenizer.document_end).astype(dtype)
        for name, text in source.documents()
    }
    held_out = _held_out({name: len(ids) for name, ids in documents.items()}, corpus.validation_share)
    train = np.concatenate([ids for name, ids in documents.items() if name not in held_out])
    validation = np.concatenate([documents[name] for name in sorted(held_out)])
    classes = cached_compression(tokenizer, corpus.tokenizer, cache)
    digest = xxhash.xxh3_128()
    for array in (train, validation, classes):
        digest.update(f"{array.dtype.str}{array.shape}".encode())
        digest.update(array.tobytes())
    manifest = Manifest(
        source=corpus.source,
        source_version=source.version(),
        licence=source.licence,
        tokenizer=corpus.tokenizer,
        dtype=np.dtype(dtype).str,
        train_tokens=len(train),
        validation_tokens=len(validation),
        train_documents=len(documents) - len(held_out),
        validation_documents=tuple(sorted(held_out)),
        fingerprint=digest.hexdigest(),
    )
    train.tofile(folder / "train.bin")
    validation.tofile(folder / "validation.bin")
    np.save(folder / "compression.npy", classes)
    with (folder / "manifest.json").open("w") as file:
        json.dump(asdict(manifest), file, indent=1)
        file.flush()
        os.fsync(file.fileno())


def _held_out(lengths: dict[str, int], share: float) -> set[str]:
    """Whole documents, in the order of their names' hashes, until they hold `share` of the tokens.

    At least one document is held out and at least one is left to train on.
    """
    order = sorted(lengths, key=lambda name: xxhash.xxh3_64_intdigest(name.encode()))
    chosen: set[str] = set()
    while len(chosen) < len(order) - 1 and (
        not chosen or sum(lengths[name] for name in chosen) < share * sum(lengths.values())
    ):
        chosen.add(order[len(chosen)])
    return chosen
