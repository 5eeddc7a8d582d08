"""Token ids -> a shard folder."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path

import numpy as np

from engram_sweep.corpus.manifest import Manifest, fingerprint
from engram_sweep.corpus.tokenizer import TOKENIZERS, cached_compression


def write_shards(
    folder: Path,
    *,
    cache: Path,
    train: np.ndarray,
    validation: np.ndarray,
    tokenizer: str,
    source: str,
    source_version: str,
    licence: str,
    train_documents: int,
    validation_documents: tuple[str, ...],
) -> Manifest:
    """Fill a folder with a corpus that is tokenised already; the manifest comes last.

    Args:
        folder: an empty folder.
        cache: where the tokenizer's compression map is kept for the next corpus.
        train: (tokens,) ids, every document ended by the tokenizer's `document_end`; may be a
            memory map.
        validation: the held-out ids, of the same dtype.
        tokenizer: its name in `TOKENIZERS`.
        source: where the text is from.
        source_version: which version of it.
        licence: under which terms.
        train_documents: how many documents `train` holds.
        validation_documents: names of the held-out documents.

    Returns:
        What was written; its fingerprint goes to `corpus.fingerprint` of the scale.
    """
    classes = cached_compression(TOKENIZERS[tokenizer], tokenizer, cache)
    manifest = Manifest(
        source=source,
        source_version=source_version,
        licence=licence,
        tokenizer=tokenizer,
        dtype=train.dtype.str,
        train_tokens=len(train),
        validation_tokens=len(validation),
        train_documents=train_documents,
        validation_documents=validation_documents,
        fingerprint=fingerprint(train, validation, classes),
    )
    train.tofile(folder / "train.bin")
    validation.tofile(folder / "validation.bin")
    np.save(folder / "compression.npy", classes)
    with (folder / "manifest.json").open("w") as file:
        json.dump(asdict(manifest), file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    return manifest
