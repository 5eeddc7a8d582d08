"""What a folder of token shards holds, and the digest of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import xxhash

DTYPES = ("|u1", "<u2", "<u4", "<i4", "<i8")
"""What ids may be stored as."""
FILES = ("manifest.json", "train.bin", "validation.bin", "compression.npy")


@dataclass(frozen=True)
class Manifest:
    """What a shard folder holds."""

    source: str
    source_version: str
    licence: str
    tokenizer: str
    """Its name in `TOKENIZERS`, or `shards`: the `tokenizer.json` in the folder."""
    document_end: int
    """The id that ends every document."""
    dtype: str
    train_tokens: int
    validation_tokens: int
    train_documents: int
    validation_documents: tuple[str, ...]
    fingerprint: str


def dtype_of(vocab_size: int) -> np.dtype:
    """Return the smallest unsigned type that holds all ids of a vocabulary."""
    return next(
        np.dtype(kind) for kind in ("|u1", "<u2", "<u4") if vocab_size - 1 <= np.iinfo(kind).max
    )


def fingerprint(
    train: np.ndarray, validation: np.ndarray, classes: np.ndarray, tokenizer: bytes = b""
) -> str:
    """xxh3_128 of the tokens, of the compression map, and of the user's own tokenizer.

    Args:
        train: (n,) ids.
        validation: (m,) ids.
        classes: (V,) int64 compression map.
        tokenizer: the bytes of the `tokenizer.json`, empty for a tokenizer that a scale names.
    """
    digest = xxhash.xxh3_128()
    for array in (train, validation, classes):
        digest.update(f"{array.dtype.str}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).data)
    digest.update(tokenizer)
    return digest.hexdigest()
