"""Files that a crash cannot halve, and that may hold anything when they are read back."""

from __future__ import annotations

import errno
import json
import math
import os
import secrets
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO


def write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write` fill a temporary file in the same folder, sync it, and rename it to `path`.

    Raises:
        OSError: the disk is full or the folder read-only; nothing is left behind and an old `path`
            is untouched.
    """
    # Not mkstemp: its files are private, and a report is to be read by others; run folders are
    # private themselves.
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(6)}")
    temporary.touch(exist_ok=False)
    try:
        write(temporary)
        _sync(temporary)
        temporary.replace(path)
        _sync(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def write_json(path: Path, data: Any) -> None:
    """Write plain data as JSON, atomically."""
    text = json.dumps(data, indent=1) + "\n"
    write_atomically(path, lambda temporary: temporary.write_text(text))


def open_plain(path: Path) -> BinaryIO:
    """Open a plain file to read: a pipe in its place would keep the reader waiting.

    Raises:
        OSError: it cannot be read, or is something else than a file.
    """
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise OSError(errno.EINVAL, "expected a plain file", str(path))
    return open(handle, "rb")


def open_lock(path: Path, mode: int = 0o600, create: bool = True) -> int:
    """Open a file that is locked and written to, made if it is not there; return its handle.

    A link in its place would have another file locked, and emptied by who notes something in it.

    Args:
        path: the file.
        mode: permissions of a new one.
        create: make it if there is none.

    Raises:
        OSError: it cannot be opened, or is something else than a file with one name.
    """
    flags = os.O_RDWR | os.O_NONBLOCK | os.O_NOFOLLOW | (os.O_CREAT if create else 0)
    try:
        handle = os.open(path, flags, mode)
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        raise OSError(errno.EINVAL, "expected a plain file, found a link", str(path)) from None
    found = os.fstat(handle)
    if not stat.S_ISREG(found.st_mode) or found.st_nlink != 1:
        os.close(handle)
        raise OSError(errno.EINVAL, "expected a plain file with one name", str(path))
    return handle


def read_plain(path: Path) -> bytes:
    """Return what is in a plain file.

    Raises:
        OSError: it cannot be read, is something else than a file, or larger than the memory.
    """
    with open_plain(path) as file:
        try:
            return file.read()
        except MemoryError:
            raise OSError(errno.EFBIG, os.strerror(errno.EFBIG), str(path)) from None


def read_json(path: Path) -> Any | None:
    """Return plain data of a JSON file, or None if there is none or it is no JSON."""
    try:
        return json.loads(read_plain(path))
    except (OSError, ValueError, RecursionError):
        return None


def read_fields(path: Path, **kinds: type | tuple[type, ...]) -> dict[str, Any] | None:
    """Return the fields of a JSON object, or None unless each one is there with its type.

    Args:
        path: the file.
        kinds: the type of each field that is needed; float takes finite numbers only.

    Example:
        `read_fields(path, step=int, loss=float)` of a file `{"step": true, "loss": 1}` is None.
    """
    return checked_fields(read_json(path), **kinds)


def checked_fields(data: Any, **kinds: type | tuple[type, ...]) -> dict[str, Any] | None:
    """Return plain data if it is what `read_fields` asks for, else None."""
    if isinstance(data, dict) and all(
        name in data and _is_a(data[name], kind if isinstance(kind, tuple) else (kind,))
        for name, kind in kinds.items()
    ):
        return data
    return None


def _is_a(value: Any, kinds: tuple[type, ...]) -> bool:
    if type(value) is int and float in kinds:
        return abs(value) < 2**53
    return type(value) in kinds and (type(value) is not float or math.isfinite(value))


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
