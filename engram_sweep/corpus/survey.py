"""What a shard folder holds: lengths, samples, n-grams, overlap of held-out and training text."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from engram_sweep.corpus.ngram_counts import NgramCounts, count_ngrams
from engram_sweep.corpus.overlap import documents, held_out_in_train
from engram_sweep.corpus.own_tokenizer import OWN, OwnTokenizer
from engram_sweep.corpus.shards import Shards
from engram_sweep.corpus.tokenizer import TOKENIZERS, Tokenizer

MEMORY_ORDERS = (2, 3)
"""Orders that the memory looks up (paper section 2.2), over compressed ids."""
COPY_ORDER = 50
"""Text of so many tokens that stands in two places is a copy (Lee et al., arXiv 2107.06499)."""
QUANTILES = (0.0, 0.25, 0.5, 0.75, 1.0)
SAMPLE_TOKENS = 64
_BLOCK = 2**24


@dataclass(frozen=True)
class Survey:
    """What `survey` found."""

    tokenizer: str
    vocab_size: int
    classes: int
    """Compressed ids."""
    used: int
    """Ids that occur in the training text."""
    train_tokens: int
    validation_tokens: int
    train_documents: int
    validation_documents: int
    lengths: tuple[int, ...]
    """Tokens of training documents at `QUANTILES`."""
    ngrams: tuple[NgramCounts, ...]
    """By order in `MEMORY_ORDERS`."""
    copies: NgramCounts
    """Of `COPY_ORDER`, over ids."""
    documents_in_both: float
    """Share of the held-out documents that are trained on, token for token."""
    samples: tuple[str, ...]
    """Beginnings of documents."""

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain data."""
        return asdict(self)


def tokenizer_of(shards: Shards) -> Tokenizer:
    """Return the tokenizer that a shard folder was made with."""
    if shards.manifest.tokenizer == OWN:
        return OwnTokenizer(shards.own_tokenizer, shards.manifest.document_end)
    return TOKENIZERS[shards.manifest.tokenizer]


def survey(shards: Shards, samples: int = 3) -> Survey:
    """Look through a shard folder.

    Args:
        shards: the folder, opened.
        samples: how many training documents to show the beginning of, spread over the text.
    """
    tokenizer, end = tokenizer_of(shards), shards.manifest.document_end
    bounds, held = documents(shards.train, end), documents(shards.validation, end)
    shown = np.linspace(0, len(bounds) - 2, min(samples, len(bounds) - 1)).astype(int)
    quantiles = np.quantile(np.diff(bounds), QUANTILES, method="nearest")
    return Survey(
        tokenizer=shards.manifest.tokenizer,
        vocab_size=len(shards.compression),
        classes=int(shards.compression.max()) + 1,
        used=_used(shards.train, len(shards.compression)),
        train_tokens=len(shards.train),
        validation_tokens=len(shards.validation),
        train_documents=len(bounds) - 1,
        validation_documents=len(held) - 1,
        lengths=tuple(int(each) for each in quantiles),
        ngrams=tuple(
            count_ngrams(shards.train, shards.validation, order, shards.compression)
            for order in MEMORY_ORDERS
        ),
        copies=count_ngrams(shards.train, shards.validation, COPY_ORDER),
        documents_in_both=float(held_out_in_train(shards.train, shards.validation, end).mean()),
        samples=tuple(
            tokenizer.decode(shards.train[bounds[i] : bounds[i + 1] - 1][:SAMPLE_TOKENS].tolist())
            for i in shown
        ),
    )


def _used(tokens: np.ndarray, vocab_size: int) -> int:
    """Return how many ids occur."""
    used = np.zeros(vocab_size, bool)
    for start in range(0, len(tokens), _BLOCK):
        used[tokens[start : start + _BLOCK]] = True
    return int(used.sum())
