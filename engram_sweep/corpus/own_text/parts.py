"""Parts of a corpus, tokenised side by side; a killed call keeps those that it finished.

A part is some megabytes of documents in their order. Its file is named by the digest of its text
and tokenizer, so whether it is done is seen from its name, and a changed text is tokenised again.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import xxhash

from engram_sweep.atomic_files import write_atomically
from engram_sweep.corpus.manifest import dtype_of
from engram_sweep.corpus.own_text.documents import Document
from engram_sweep.corpus.tokenizer import UNREADABLE_ARRAY, ByteTokenizer, Tokenizer
from engram_sweep.errors import UserError

PART_CHARACTERS = 4_000_000
"""Text of a part: seconds of one core's work, which is what a killed call loses of each."""
PART_DOCUMENTS = 100_000


class DamagedPart(UserError):
    """A part that cannot be read; others are as good as they were."""


@dataclass(frozen=True)
class Part:
    """A tokenised part on disk."""

    path: Path
    text_digest: str
    """xxh3_128 of its documents."""

    def read(self, name: str) -> np.ndarray:
        """Return one of its arrays.

        Args:
            name: `tokens` (n,), documents one after the other, each ended; `lengths` (D,) int64;
                `keys` (D,) uint64, xxh3_64 of each text.

        Raises:
            DamagedPart: its file is damaged; it is deleted.
        """
        try:
            with np.load(self.path) as arrays:
                return arrays[name]
        except (*UNREADABLE_ARRAY, KeyError, BadZipFile, NotImplementedError) as error:
            self.path.unlink(missing_ok=True)
            raise DamagedPart(
                f"{self.path}: damaged ({error}); the same command makes it again"
            ) from None


def cut(documents: Iterable[Document]) -> Iterator[list[Document]]:
    """Yield documents in parts of about `PART_CHARACTERS`."""
    part: list[Document] = []
    size = 0
    for document in documents:
        part.append(document)
        size += len(document.text)
        if size >= PART_CHARACTERS or len(part) >= PART_DOCUMENTS:
            yield part
            part, size = [], 0
    if part:
        yield part


def digest_of(part: list[Document]) -> str:
    """xxh3_128 of a part's texts.

    Raises:
        UserError: a document is no Unicode text.
    """
    digest = xxhash.xxh3_128()
    for document in part:
        text = utf8(document)
        digest.update(len(text).to_bytes(8, "little"))
        digest.update(text)
    return digest.hexdigest()


def utf8(document: Document) -> bytes:
    r"""Return the text of a document in UTF-8.

    Raises:
        UserError: it is no Unicode text: JSON may hold half a character, as `\ud800`.
    """
    try:
        return document.text.encode()
    except UnicodeEncodeError as error:
        raise UserError(f"{document.at}: expected Unicode text: {error.reason}") from None


def encode(part: list[Document], tokenizer: Tokenizer, path: Path) -> None:
    """Tokenise a part and write its file, whole or not at all.

    Raises:
        UserError: the tokenizer has nothing for a document.
        OSError: the disk is full, or the folder cannot be written.
    """
    texts = [document.text for document in part]
    try:
        ids = tokenizer.encode_batch(texts)
    except UserError:
        _refuse_first(part, tokenizer)
        raise
    lengths = np.array([len(each) + 1 for each in ids], np.int64)
    tokens = np.full(lengths.sum(), tokenizer.document_end, dtype_of(tokenizer.vocab_size))
    # Everything but the last place of each document is its ids; there the end stands already.
    inside = np.ones(len(tokens), bool)
    inside[np.cumsum(lengths) - 1] = False
    tokens[inside] = np.concatenate(ids)
    keys = np.array([xxhash.xxh3_64_intdigest(text.encode()) for text in texts], np.uint64)

    def write(temporary: Path) -> None:
        with temporary.open("wb") as file:
            np.savez(file, tokens=tokens, lengths=lengths, keys=keys)

    write_atomically(path, write)


def _refuse_first(part: list[Document], tokenizer: Tokenizer) -> None:
    """Name the first document of a part that cannot be tokenised."""
    for document in part:
        try:
            tokenizer.encode(document.text)
        except UserError as error:
            raise UserError(f"{document.at}: {error}") from None


def encode_parts(
    parts: Iterable[list[Document]],
    tokenizer: Tokenizer,
    folder: Path,
    workers: int,
    done: Callable[[list[Document]], object] = lambda part: None,
) -> list[Part]:
    """Tokenise what is not done.

    Args:
        parts: the documents, part by part.
        tokenizer: what tokenises them.
        folder: where the parts' files go.
        workers: processes; 1 is this one.
        done: called with each part once its file is there.

    Returns:
        The parts, in their order.

    Raises:
        UserError: a document cannot be tokenised, or a worker was killed.
    """
    identity = xxhash.xxh3_64_hexdigest(
        f"{tokenizer.fingerprint()} {tokenizer.document_end}".encode()
    )
    found: list[Part] = []
    with _Crew(tokenizer, workers) as crew:
        for part in parts:
            digest = digest_of(part)
            path = folder / f"part-{identity}-{digest}.npz"
            found.append(Part(path, digest))
            if isinstance(tokenizer, ByteTokenizer):
                _refuse_zeros(part)
            if path.exists():
                done(part)
            else:
                crew.encode(part, path, partial(done, part))
    return found


def _refuse_zeros(part: list[Document]) -> None:
    """Refuse the character that ends documents where bytes are the tokens."""
    for document in part:
        if "\0" in document.text:
            raise UserError(
                f"{document.at}: expected text without the character U+0000, which ends documents "
                "where bytes are the tokens"
            )


class _Crew:
    """Processes that tokenise, two parts each under way; or this process, for one worker."""

    def __init__(self, tokenizer: Tokenizer, workers: int) -> None:
        self.tokenizer, self.workers = tokenizer, workers
        self.waiting: deque[tuple[Future[None], Callable[[], object]]] = deque()
        self.pool: ProcessPoolExecutor | None = None

    def __enter__(self) -> _Crew:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            while kind is None and self.waiting:
                self._wait()
        finally:
            if self.pool is not None:
                self.pool.shutdown(cancel_futures=True)

    def encode(self, part: list[Document], path: Path, done: Callable[[], object]) -> None:
        if self.workers == 1:
            encode(part, self.tokenizer, path)
            done()
            return
        if self.pool is None:
            # The library has threads of its own, and a process with threads must not be forked.
            self.pool = ProcessPoolExecutor(
                self.workers,
                multiprocessing.get_context("spawn"),
                _begin,
                (self.tokenizer,),
            )
        with _deaf_children():
            self.waiting.append((self.pool.submit(_encode, part, path), done))
        if len(self.waiting) >= 2 * self.workers:
            self._wait()

    def _wait(self) -> None:
        future, done = self.waiting.popleft()
        try:
            future.result()
        except BrokenProcessPool:
            raise UserError(
                "a process that tokenises was killed (out of memory?); the same command goes on "
                "from here, --workers takes fewer of them"
            ) from None
        done()


@contextmanager
def _deaf_children() -> Iterator[None]:
    """Start processes that never hear Ctrl-C: this one does, and sees to their end.

    A terminal sends it to all of them, and one that still imports would print its traceback.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


_tokenizer: Tokenizer | None = None
"""Of a worker process: a tokenizer is sent once, not with every part."""


def _begin(tokenizer: Tokenizer) -> None:
    """Prepare a worker process; it ends with the process that started it, however that ends."""
    global _tokenizer
    _tokenizer = tokenizer
    # One thread each: there is a process per core.
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _encode(part: list[Document], path: Path) -> None:
    assert _tokenizer is not None
    encode(part, _tokenizer, path)
