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
    dtype: str
    train_tokens: int
    validation_tokens: int
    train_documents: int
    validation_documents: tuple[str, ...]
    fingerprint: str


def fingerprint(train: np.ndarray, validation: np.ndarray, classes: np.ndarray) -> str:
    """xxh3_128 of the tokens and of the tokenizer's compression map."""
    digest = xxhash.xxh3_128()
    for array in (train, validation, classes):
        digest.update(f"{array.dtype.str}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()
