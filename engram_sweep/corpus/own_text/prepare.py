"""A user's own text -> a shard folder."""

from __future__ import annotations

import fcntl
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xxhash

from engram_sweep.atomic_files import write_atomically
from engram_sweep.corpus.held_out import held_out
from engram_sweep.corpus.own_text.documents import Document, Inputs
from engram_sweep.corpus.own_text.parts import (
    PART_CHARACTERS,
    DamagedPart,
    Part,
    cut,
    digest_of,
    encode_parts,
    utf8,
)
from engram_sweep.corpus.own_tokenizer import OwnTokenizer, train_bpe
from engram_sweep.corpus.shards import Shards, load, verified
from engram_sweep.corpus.tokenizer import TOKENIZERS
from engram_sweep.corpus.writer import write_shards
from engram_sweep.errors import UserError

MAX_BPE_CHARACTERS = 100_000_000
"""Text, from the beginning, that a vocabulary is trained on: the library keeps all its words."""
MAX_NAMED = 1000
"""Held-out documents that a manifest names by their keys."""


@dataclass(frozen=True)
class Request:
    """What is to be made of which text."""

    inputs: Inputs
    tokenizer: str | OwnTokenizer | int
    """A name in `TOKENIZERS`, the user's own, or the size of a vocabulary to train."""
    validation_share: float
    """Of the tokens, as whole documents."""
    licence: str = "not stated"


@dataclass
class Progress:
    """How far a call is; `show` is called after every part."""

    show: Callable[[Progress], object]
    stage: str = ""
    total_bytes: int = 0
    read_bytes: int = 0
    characters: int = 0
    """Of text that is tokenised."""

    def seen(self, count: int) -> None:
        """Note bytes that were read."""
        self.read_bytes += count

    def done(self, part: list[Document]) -> None:
        """Note a part that is tokenised."""
        self.characters += sum(len(document.text) for document in part)
        self.show(self)

    def begin(self, stage: str) -> None:
        """Note that the text is read from its beginning."""
        self.stage, self.read_bytes = stage, 0
        self.show(self)


def prepare_text(request: Request, folder: Path, workers: int, progress: Progress) -> Shards:
    """Tokenise a text, hold documents out by the hash of their text, and write a shard folder.

    A call that was killed goes on where it was: finished parts lie beside the folder until it is
    there. A folder that holds this very text already is left as it is.

    Args:
        request: what to make.
        folder: the shard folder to be.
        workers: processes that tokenise.
        progress: what to report to.

    Raises:
        UserError: the text cannot be read (file and line), holds fewer than two documents, or the
            folder holds something else.
    """
    progress.total_bytes = request.inputs.size()
    # A process takes longer to start than to tokenise a small text; a data set has no size.
    if progress.total_bytes:
        workers = min(workers, 1 + progress.total_bytes // (2 * PART_CHARACTERS))
    if folder.exists():
        return _made_already(request, folder, progress)
    with _claimed(folder.parent / f".{folder.name}.parts") as working:
        tokenizer = _tokenizer_of(request, working, progress)
        known = TOKENIZERS[tokenizer] if isinstance(tokenizer, str) else tokenizer
        progress.begin("tokenising")
        documents = request.inputs.documents(progress.seen)
        parts = encode_parts(cut(documents), known, working, workers, progress.done)
        progress.begin("writing")
        try:
            _assemble(request, folder, tokenizer, parts)
        except DamagedPart:
            raise
        except UserError:
            # The text as a whole is at fault: no further call can go on from its parts.
            shutil.rmtree(working)
            raise
        shutil.rmtree(working)
    return load(folder)


def _made_already(request: Request, folder: Path, progress: Progress) -> Shards:
    """Return the shards of a folder that is there, if they are of this text.

    Raises:
        UserError: they are of another.
    """
    progress.begin("comparing")
    version = ""
    if (folder / "manifest.json").exists():
        parts = cut(request.inputs.documents(progress.seen))
        version = _version(request, [digest_of(part) for part in parts])
        shards = verified(folder)
        if shards.manifest.source_version == version:
            return shards
    raise UserError(
        f"{folder}: expected no such folder, or one of this text, tokenizer and share, found "
        "another; name another by --to, or delete it"
    )


@contextmanager
def _claimed(folder: Path) -> Iterator[Path]:
    """Make and hold the folder of parts for this call.

    It is removed if nothing came into it, and if a text is refused before any part is finished.

    Raises:
        UserError: another call is at work in it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(
                f"{folder}: another call is at work on the same corpus; wait for its end"
            ) from None
        kept = "*"
        try:
            yield folder
        except UserError:
            # A vocabulary that was trained on it is of no use alone.
            kept = "part-*"
            raise
        finally:
            if not [path for path in folder.glob(kept) if path.name != "lock"]:
                shutil.rmtree(folder, ignore_errors=True)
                # The folder of all corpora, if this call made it for nothing.
                with suppress(OSError):
                    folder.parent.rmdir()


def _tokenizer_of(request: Request, working: Path, progress: Progress) -> str | OwnTokenizer:
    """Return the tokenizer of a request; one that has to be trained is kept for the next call."""
    if not isinstance(request.tokenizer, int):
        return request.tokenizer
    progress.begin("training a vocabulary")
    digest, texts, size = xxhash.xxh3_128(), [], 0
    for document in request.inputs.documents(progress.seen):
        texts.append(document.text)
        digest.update(utf8(document))
        size += len(document.text)
        if size >= MAX_BPE_CHARACTERS:
            break
    path = working / f"tokenizer-{request.tokenizer}-{digest.hexdigest()}.json"
    if not path.exists():
        content = train_bpe(texts, request.tokenizer).content()
        write_atomically(path, lambda temporary: temporary.write_bytes(content))
    return OwnTokenizer(path.read_bytes())


def _version(request: Request, text_digests: list[str]) -> str:
    """xxh3_128 of all text, the tokenizer and the share: what a shard folder is made of.

    A vocabulary that is trained follows from the text and its size.
    """
    wanted = request.tokenizer
    if isinstance(wanted, OwnTokenizer):
        wanted = f"{wanted.fingerprint()} {wanted.document_end}"
    text = f"{wanted} {request.validation_share} {' '.join(text_digests)}"
    return xxhash.xxh3_128_hexdigest(text.encode())


def _assemble(
    request: Request,
    folder: Path,
    tokenizer: str | OwnTokenizer,
    parts: list[Part],
) -> None:
    """Write the shards of all parts."""
    names = ", ".join(request.inputs.names)
    if not parts:
        raise UserError(f"{names}: expected text, found none")
    lengths = [part.read("lengths") for part in parts]
    keys = np.concatenate([part.read("keys") for part in parts])
    try:
        chosen = held_out(keys, np.concatenate(lengths), request.validation_share)
    except UserError as error:
        raise UserError(f"{names}: {error}") from None
    by_part = np.split(chosen, np.cumsum([len(each) for each in lengths])[:-1])

    def tokens(out: bool) -> Iterator[np.ndarray]:
        for part, each, chosen_here in zip(parts, lengths, by_part, strict=True):
            yield part.read("tokens")[np.repeat(chosen_here == out, each)]

    named = sorted({f"{key:016x}" for key in keys[chosen].tolist()})
    write_shards(
        folder,
        cache=folder.parent / ".compression",
        train=tokens(False),
        validation=tokens(True),
        tokenizer=tokenizer,
        source=names,
        source_version=_version(request, [part.text_digest for part in parts]),
        licence=request.licence,
        train_documents=int((~chosen).sum()),
        validation_documents=tuple(named) if len(named) <= MAX_NAMED else (),
    )
