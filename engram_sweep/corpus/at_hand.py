"""How much text there is to train on, as far as that is known without tokenising anything."""

from __future__ import annotations

from pathlib import Path

from engram_sweep.atomic_files import read_fields
from engram_sweep.corpus.sources import SHARDS, SOURCES
from engram_sweep.errors import UserError
from engram_sweep.spec import CorpusSpec


def tokens_at_hand(corpus: CorpusSpec, cache: Path, given: Path | None = None) -> int | None:
    """Return the training tokens of a corpus, read from the manifest of its shards.

    Args:
        corpus: which text.
        cache: folder of all shard folders.
        given: the shard folder of a corpus whose source is `shards`.

    Returns:
        Tokens. Of a package as bytes that was not prepared yet, the bytes of its share. None if
        nothing is known.
    """
    folders = [given] if given is not None else []
    if corpus.source != SHARDS:
        folders = sorted(cache.glob(f"{corpus.source}-{corpus.tokenizer}-*"))
    found = []
    for folder in folders:
        fields = read_fields(
            folder / "manifest.json", fingerprint=str, train_tokens=int, validation_tokens=int
        )
        if fields and corpus.fingerprint in (None, fields["fingerprint"]):
            tokens = fields["train_tokens"] + fields["validation_tokens"]
            miss = abs(fields["validation_tokens"] - corpus.validation_share * tokens)
            found.append((miss, fields["train_tokens"]))
    if found:
        # Shards of one package differ by what is held out of them.
        return min(found)[1]
    if corpus.source in SOURCES and corpus.tokenizer == "bytes":
        try:
            return round(SOURCES[corpus.source].size() * (1 - corpus.validation_share))
        except UserError:
            return None
    return None
