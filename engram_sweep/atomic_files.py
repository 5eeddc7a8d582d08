"""Writing so that a crash leaves either the old file or the new one, never half of one."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any


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


def read_json(path: Path) -> Any | None:
    """Return plain data of a JSON file, or None if there is none or it is no JSON."""
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError):
        return None


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
