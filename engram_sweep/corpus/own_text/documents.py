"""Files of a user, or a data set by name -> documents, in a fixed order.

What a file is, its name says: `.jsonl`, `.ndjson` and `.json` hold one JSON object a line,
`.parquet` a table, everything else is UTF-8 text; `.gz` and `.zst` behind it are unpacked.
"""

from __future__ import annotations

import codecs
import io
import json
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

from engram_sweep.atomic_files import open_plain
from engram_sweep.errors import UserError, not_installed

HUB = "hf:"
"""Before the name of a Hugging Face data set: `hf:owner/name`, or `hf:owner/name:split`."""
COMPRESSIONS = {".gz": "gzip", ".zst": "zstd"}
JSON_LINES = (".jsonl", ".ndjson", ".json")
MIN_CUT = 2**16
"""Characters of a text file behind which the next blank line begins another document."""
MAX_CUT = 2**20
"""Characters behind which any line does."""


@dataclass(frozen=True)
class Document:
    """A text, and where it stands, for messages."""

    text: str
    at: str


@dataclass(frozen=True)
class Inputs:
    """What a user names: files, folders (all in them, behind links too, but hidden), data sets."""

    names: tuple[str, ...]
    text_key: str = "text"
    """The key or column that holds a document's text."""

    def files(self) -> list[Path]:
        """Return all files, those of a folder sorted by path.

        Raises:
            UserError: a name is neither file nor folder, a folder is empty, or something in it
                cannot be read.
        """
        return [path for name in self.names if not name.startswith(HUB) for path in _files(name)]

    def size(self) -> int:
        """Return the bytes of all files; a data set counts nothing."""
        return sum(path.stat().st_size for path in self.files())

    def documents(self, seen: Callable[[int], object] = lambda count: None) -> Iterator[Document]:
        """Read every document that has text.

        Args:
            seen: called with the bytes of files that were read since the last call.

        Raises:
            UserError: a file is binary, not UTF-8, damaged, no JSON, or lacks the key: one line
                with the file and its line or row.
        """
        for name in self.names:
            if name.startswith(HUB):
                yield from _of_data_set(name, self.text_key)
            else:
                for path in _files(name):
                    yield from self._of_file(path, seen)

    def _of_file(self, path: Path, seen: Callable[[int], object]) -> Iterator[Document]:
        before = 0
        try:
            with closing(open_plain(path)) as file:
                for document in self._read(file, path):
                    if document.text:
                        yield document
                    at = max(file.tell(), before)
                    seen(at - before)
                    before = at
        except UserError:
            raise
        # The errors of pyarrow and gzip.
        except (OSError, ValueError) as error:
            raise UserError(f"{path}: cannot be read: {_first_line(error)}") from None
        seen(path.stat().st_size - before)

    def _read(self, file: BinaryIO, path: Path) -> Iterator[Document]:
        suffix = _inner(path).suffix.lower()
        if suffix == ".parquet":
            return _of_parquet(file, path, self.text_key)
        if suffix in JSON_LINES:
            return _of_json_lines(_unpacked(file, path), path, self.text_key)
        return _of_text(_unpacked(file, path), path)


def _files(name: str) -> list[Path]:
    path = Path(name)
    if not path.is_dir():
        if not path.exists():
            raise UserError(
                f"{name}: expected a file, a folder or {HUB}OWNER/NAME, found no such file"
            )
        return [path]
    found = sorted(_within(path))
    if not found:
        raise UserError(f"{name}: expected a folder with files, found none")
    return found


def _within(top: Path) -> Iterator[Path]:
    """Yield the files below a folder, behind links too; hidden files and folders are left out.

    Raises:
        UserError: something below it may not be read, or is neither file nor folder.
    """
    # A link may lead upwards: a folder is read once, however often it is met.
    seen: set[tuple[int, int]] = set()
    for folder, folders, names in os.walk(top, onerror=_refuse, followlinks=True):
        at = os.stat(folder)
        if (at.st_dev, at.st_ino) in seen:
            folders.clear()
            continue
        seen.add((at.st_dev, at.st_ino))
        folders[:] = sorted(each for each in folders if each[0] != ".")
        for path in (Path(folder, each) for each in names if each[0] != "."):
            try:
                kind = path.stat().st_mode
            except OSError as error:
                _refuse(error)
            if not stat.S_ISREG(kind):
                raise UserError(f"{path}: cannot be read: expected a plain file or a folder")
            yield path


def _refuse(error: OSError) -> NoReturn:
    raise UserError(f"{error.filename}: cannot be read: {error.strerror}") from None


def _inner(path: Path) -> Path:
    """Return a path without the suffix of its compression."""
    return path.with_suffix("") if path.suffix.lower() in COMPRESSIONS else path


def _unpacked(file: BinaryIO, path: Path) -> BinaryIO:
    kind = COMPRESSIONS.get(path.suffix.lower())
    if kind is None:
        return file
    import pyarrow

    return io.BufferedReader(pyarrow.CompressedInputStream(file, kind))  # type: ignore[arg-type]


def _of_text(stream: BinaryIO, path: Path) -> Iterator[Document]:
    """Cut a text file into documents at blank lines, none of which is lost."""
    decoder = codecs.getincrementaldecoder("utf-8-sig")()
    lines: list[str] = []
    size, number, first = 0, 1, 1
    while raw := stream.readline(MAX_CUT):
        if b"\0" in raw:
            raise UserError(f"{path}, line {number}: expected text, found a binary file")
        try:
            line = decoder.decode(raw)
        except UnicodeDecodeError as error:
            raise UserError(f"{path}, line {number}: expected UTF-8: {error.reason}") from None
        lines.append(line)
        size += len(line)
        number += raw.endswith(b"\n")
        if size >= MAX_CUT or (size >= MIN_CUT and not line.strip()):
            yield Document("".join(lines), f"{path}, line {first}")
            lines, size, first = [], 0, number
    try:
        lines.append(decoder.decode(b"", final=True))
    except UnicodeDecodeError:
        raise UserError(f"{path}, line {number}: expected UTF-8: it ends in a character") from None
    yield Document("".join(lines), f"{path}, line {first}")


def _of_json_lines(stream: BinaryIO, path: Path, key: str) -> Iterator[Document]:
    for number, raw in enumerate(stream, 1):
        if not raw.strip():
            continue
        at = f"{path}, line {number}"
        try:
            text = raw.decode("utf-8-sig" if number == 1 else "utf8")
            row = json.loads(text, object_pairs_hook=_Pairs)
        except UnicodeDecodeError as error:
            raise UserError(f"{at}: expected UTF-8: {error.reason}") from None
        except (ValueError, RecursionError) as error:
            raise UserError(f"{at}: expected a JSON object: {_first_line(error)}") from None
        if not isinstance(row, _Pairs):
            raise UserError(f"{at}: expected a JSON object, got {type(row).__name__}")
        _check_key(at, key, [name for name, _ in row])
        yield Document(_text(dict(row)[key], at, key), at)


class _Pairs(tuple[tuple[str, Any], ...]):
    """The keys and values of a JSON object, in which a key may stand twice."""


def _of_parquet(file: BinaryIO, path: Path, key: str) -> Iterator[Document]:
    import pyarrow.parquet

    table = pyarrow.parquet.ParquetFile(file)
    _check_key(str(path), key, table.schema_arrow.names)
    number = 0
    for batch in table.iter_batches(batch_size=1024, columns=[key]):
        for value in batch.column(0).to_pylist():
            number += 1
            at = f"{path}, row {number}"
            yield Document(_text(value, at, key), at)


def _of_data_set(name: str, key: str) -> Iterator[Document]:
    """Read a data set of the hub, row by row, without keeping it."""
    try:
        import datasets  # type: ignore[import-not-found]
    except ImportError:
        raise not_installed("data set", "datasets") from None
    repository, _, split = name.removeprefix(HUB).partition(":")
    # Its errors are of a dozen kinds (network, no such name, no such split): all are the user's.
    try:
        rows = datasets.load_dataset(repository, split=split or "train", streaming=True)
        for number, row in enumerate(rows, 1):
            at = f"{name}, row {number}"
            _check_key(at, key, list(row))
            text = _text(row[key], at, key)
            if text:
                yield Document(text, at)
    except UserError:
        raise
    except Exception as error:
        raise UserError(f"{name}: {type(error).__name__}: {_first_line(error)}") from None


def _text(value: Any, at: str, key: str) -> str:
    if not isinstance(value, str):
        raise UserError(f"{at}: {key}: expected text, got {value!r:.60}")
    return value


def _check_key(at: str, key: str, found: list[str]) -> None:
    """Refuse an object or a table that does not have the key once: one of two would be a guess."""
    if key not in found:
        raise UserError(
            f"{at}: expected the key {key!r}, found {', '.join(map(str, found)) or 'none'}; name "
            "it by --text-key"
        )
    if found.count(key) > 1:
        raise UserError(f"{at}: expected the key {key!r} once, found it {found.count(key)} times")


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
