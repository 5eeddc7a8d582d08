"""The code as it was submitted.

A job that waits for days, or starts again, runs what its sweep was launched with.

results/<scale>/code/<digest>/
engram_sweep/    the package, file by file
code.json        commit and uncommitted changes that it was taken from
"""

from __future__ import annotations

import json
import secrets
import shutil
from pathlib import Path
from typing import Any

import xxhash

import engram_sweep
from engram_sweep.atomic_files import read_json, write_json
from engram_sweep.errors import UserError
from engram_sweep.own_folders import PRIVATE, check_own, own_folder
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
        The folder that goes first on a worker's `sys.path`.

    Raises:
        UserError: the snapshot is there already and was changed since, or something was put
            beside it: python would import that too.
        OSError: it cannot be written; nothing of it is left behind.
    """
    wanted = digest(package, state)
    own_folder(folder)
    snapshot = folder / wanted
    if not snapshot.exists():
        _copy(package, state, snapshot)
    _check(snapshot, package.name, state)
    return snapshot.resolve()


def _check(snapshot: Path, name: str, state: dict[str, Any]) -> None:
    """Refuse a snapshot that is not what `_copy` made under this name, file by file."""
    everything = [snapshot, *sorted(snapshot.rglob("*"))]
    check_own(everything)
    package = snapshot / name
    ours = {snapshot, snapshot / CODE_FILE, package}
    foreign = [
        path
        for path in everything
        if path not in ours and (package not in path.parents or "__pycache__" in path.parts)
    ]
    is_true = digest(package, state) == snapshot.name and read_json(snapshot / CODE_FILE) == state
    if is_true and not foreign:
        return
    problem = f"{foreign[0].relative_to(snapshot)} beside it" if foreign else "it changed"
    raise UserError(
        f"{snapshot}: expected the code that was copied there, found {problem}; delete this folder"
    )


def _copy(package: Path, state: dict[str, Any], snapshot: Path) -> None:
    temporary = snapshot.with_name(f".{snapshot.name}.{secrets.token_hex(6)}")
    temporary.mkdir(mode=PRIVATE)
    try:
        for path in _files(package):
            target = temporary / package.name / path.relative_to(package)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
        write_json(temporary / CODE_FILE, state)
        # Whatever the umask is.
        for path in temporary.rglob("*"):
            path.chmod(PRIVATE if path.is_dir() else 0o600)
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
