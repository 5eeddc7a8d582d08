"""The code as it was submitted.

A job that waits for days, or starts again, runs what its sweep was launched with.

results/<scale>/code/<digest>/
engram_sweep/    the package, file by file
code.json        commit and uncommitted changes that it was taken from
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import xxhash

import engram_sweep
from engram_sweep.atomic_files import write_json
from engram_sweep.errors import UserError
from engram_sweep.runs.provenance import CODE_FILE

PACKAGE = Path(engram_sweep.__file__).resolve().parent


def digest(package: Path, state: dict[str, Any]) -> str:
    """xxh3_128 over the names and bytes of a package's files, and over where they come from."""
    found = xxhash.xxh3_128(json.dumps(state, sort_keys=True).encode())
    for path in _files(package):
        for part in (path.relative_to(package).as_posix().encode(), path.read_bytes()):
            found.update(len(part).to_bytes(8, "big") + part)
    return found.hexdigest()


def take(folder: Path, state: dict[str, Any], package: Path = PACKAGE) -> Path:
    """Copy a package to `<folder>/<digest>/`, once.

    Args:
        folder: where the snapshots of a sweep are.
        state: what `code.json` is to say.
        package: the package; this one.

    Returns:
        The folder that goes first on a job's PYTHONPATH.

    Raises:
        UserError: the snapshot is there already and was changed since.
        OSError: it cannot be written; nothing of it is left behind.
    """
    wanted = digest(package, state)
    snapshot = folder / wanted
    if not snapshot.exists():
        _copy(package, state, snapshot)
    if digest(snapshot / package.name, state) != wanted:
        raise UserError(
            f"{snapshot}: expected the code that was copied there, found it changed; delete this "
            "folder"
        )
    return snapshot.resolve()


def environment(snapshot: Path) -> dict[str, str]:
    """Return variables under which python imports the snapshot."""
    paths = [str(snapshot), *filter(None, [os.environ.get("PYTHONPATH")])]
    # `python -m` would look into the working directory first, which is mostly the very checkout
    # that may change.
    return {"PYTHONPATH": os.pathsep.join(paths), "PYTHONSAFEPATH": "1"}


@contextmanager
def imported_from(snapshot: Path | None) -> Iterator[None]:
    """Let processes that start here import a snapshot; None leaves what this process imports."""
    before = dict(os.environ)
    if snapshot is not None:
        os.environ.update(environment(snapshot))
    try:
        yield
    finally:
        for name in ("PYTHONPATH", "PYTHONSAFEPATH"):
            os.environ.pop(name, None)
            if name in before:
                os.environ[name] = before[name]


def _copy(package: Path, state: dict[str, Any], snapshot: Path) -> None:
    snapshot.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    temporary = snapshot.with_name(f".{snapshot.name}.{secrets.token_hex(6)}")
    temporary.mkdir(mode=0o700)
    try:
        for path in _files(package):
            target = temporary / package.name / path.relative_to(package)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
        write_json(temporary / CODE_FILE, state)
        try:
            temporary.rename(snapshot)
        except OSError:
            # Another driver was faster; a folder cannot be renamed onto one that holds files.
            if not snapshot.exists():
                raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _files(package: Path) -> list[Path]:
    return sorted(p for p in package.rglob("*") if p.is_file() and "__pycache__" not in p.parts)
