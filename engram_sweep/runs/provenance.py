"""Where a result comes from: code, versions, driver."""

from __future__ import annotations

import importlib.metadata
import platform
import shutil
import subprocess
from pathlib import Path

import xxhash

from engram_sweep.atomic_files import read_fields

_LIBRARIES = ("torch", "lightning", "numpy", "pandas", "pyarrow", "xxhash", "submitit")
CODE_FILE = "code.json"
"""Beside a copy of the package outside its repository: the `code_state` of what was copied."""


def versions() -> dict[str, str]:
    """Versions of python, of this package's code and of the libraries that shape a result."""
    from engram_sweep import __version__

    found = {"python": platform.python_version(), "engram_sweep": __version__}
    return found | {name: importlib.metadata.version(name) for name in _LIBRARIES}


def code_state() -> dict[str, str | None]:
    """Return which code runs.

    Returns:
        `git_commit`: the commit, `+dirty` if tracked files differ; None outside a git checkout.
        `git_diff`: xxh3_128 of the difference; None if there is none.
    """
    root = Path(__file__).resolve().parent.parent.parent
    if copied := read_fields(
        root / CODE_FILE, git_commit=(str, type(None)), git_diff=(str, type(None))
    ):
        return copied

    def git(*words: str) -> str:
        command = ["git", "-C", str(root), *words]
        return subprocess.run(
            command, capture_output=True, text=True, check=True, errors="replace"
        ).stdout

    try:
        commit, diff = git("rev-parse", "HEAD").strip(), git("diff", "HEAD")
    except (OSError, subprocess.CalledProcessError):
        return {"git_commit": None, "git_diff": None}
    if not diff:
        return {"git_commit": commit, "git_diff": None}
    return {"git_commit": f"{commit}+dirty", "git_diff": xxhash.xxh3_128_hexdigest(diff.encode())}


def gpu_driver_version() -> str | None:
    """Version of the NVIDIA driver; None if there is none."""
    if shutil.which("nvidia-smi") is None:
        return None
    command = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        found = subprocess.run(
            command, capture_output=True, text=True, check=True, timeout=60
        ).stdout.split()
    except (OSError, subprocess.SubprocessError):
        return None
    return found[0] if found else None
