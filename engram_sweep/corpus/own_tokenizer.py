"""A tokenizer that the user brings as a `tokenizer.json`, or has trained on the own text."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from engram_sweep.atomic_files import read_plain
from engram_sweep.corpus.tokenizer import TOKENIZERS, FileTokenizer
from engram_sweep.errors import UserError

OWN = "shards"
"""The name of a tokenizer whose `tokenizer.json` lies in the shard folder."""
FILE_NAME = "tokenizer.json"
ENDS = ("<|endoftext|>", "<|end_of_text|>", "<｜end▁of▁sentence｜>", "</s>", "<eos>", "<|eos|>")
"""Tokens that end documents in published tokenizers, in the order in which they are looked for."""
MIN_BPE = 257
"""Ids of the smallest trained vocabulary: all bytes, and one that ends documents."""
MAX_BPE = 2**20


class OwnTokenizer(FileTokenizer):
    """A user's `tokenizer.json`.

    The token that ends documents also stands in for what lies before a window: most published
    vocabularies have no other.

    Args:
        content: the file's bytes.
        document_end: token, or id of the token, that ends documents; None looks for one of `ENDS`.
        at: where the file is from, for messages.

    Raises:
        UserError: it is no tokenizer of the `tokenizers` library, or has no such token.
    """

    def __init__(
        self, content: bytes, document_end: str | int | None = None, at: str = FILE_NAME
    ) -> None:
        self._content, self.at = content, at
        try:
            vocabulary = self.library.get_vocab(with_added_tokens=True)
        except ValueError as error:
            problem = str(error).splitlines()[0]
            raise UserError(
                f"{at}: expected a tokenizer.json of the tokenizers library: {problem}"
            ) from None
        # Ids may have gaps, so their number is not enough.
        self.vocab_size = max(vocabulary.values(), default=-1) + 1
        self.document_end = self.pad_id = _document_end(vocabulary, document_end, at)

    def content(self) -> bytes:
        """Return the file's bytes."""
        return self._content


def _document_end(vocabulary: dict[str, int], asked: str | int | None, at: str) -> int:
    """Return the id that ends documents.

    Raises:
        UserError: the vocabulary has no such token.
    """
    # Digits are an id, although a vocabulary may have them as a token.
    if isinstance(asked, str) and re.fullmatch(r"[0-9]{1,18}", asked):
        asked = int(asked)
    if isinstance(asked, int):
        if asked in vocabulary.values():
            return asked
    else:
        for token in ENDS if asked is None else (asked,):
            if token in vocabulary:
                return vocabulary[token]
    wanted = f"one of {', '.join(ENDS)}" if asked is None else f"{asked!r:.60}"
    raise UserError(
        f"{at}: expected a token that ends documents ({wanted}), it has none; name one by "
        "--document-end"
    )


def read_tokenizer(name: str, document_end: str | None = None) -> str | OwnTokenizer:
    """Return the name of a tokenizer in `TOKENIZERS`, or the user's own.

    Args:
        name: one of `TOKENIZERS`, or the path of a `tokenizer.json`.
        document_end: token, or id of the token, that ends documents, if the file's own is not one
            of `ENDS`.

    Raises:
        UserError: there is no such tokenizer, or a named one is asked to end documents otherwise.
    """
    if name in TOKENIZERS:
        if document_end is not None:
            raise UserError(
                f"--document-end: expected a tokenizer.json beside it, {name} has its own"
            )
        return name
    try:
        content = read_plain(Path(name))
    except OSError as error:
        raise UserError(
            f"--tokenizer: expected one of {', '.join(sorted(TOKENIZERS))} or a tokenizer.json, "
            f"got {name!r} ({error.strerror})"
        ) from None
    return OwnTokenizer(content, document_end, name)


def train_bpe(texts: Iterable[str], vocab_size: int) -> OwnTokenizer:
    """Train a byte-level BPE vocabulary, as GPT-2's: every text comes back to the character.

    Args:
        texts: what to train on.
        vocab_size: ids wanted, 256 bytes and `<|endoftext|>` (id 0) included; a short text yields
            fewer.
    """
    from tokenizers import Tokenizer as LibraryTokenizer
    from tokenizers import decoders, models, pre_tokenizers, trainers

    library = LibraryTokenizer(models.BPE())
    library.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    library.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=[ENDS[0]],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    library.train_from_iterator(texts, trainer)
    return OwnTokenizer(library.to_str().encode())
