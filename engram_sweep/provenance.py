"""Where a result comes from: commit, versions, host."""

from __future__ import annotations

import importlib.metadata
import platform
import subprocess
from pathlib import Path

_LIBRARIES = ("torch", "lightning", "numpy", "pandas", "pyarrow", "xxhash", "submitit")


def versions() -> dict[str, str]:
    """Versions of python, of this package's code and of the libraries that shape a result."""
    from engram_sweep import __version__

    found = {"python": platform.python_version(), "engram_sweep": __version__}
    return found | {name: importlib.metadata.version(name) for name in _LIBRARIES}


def git_commit() -> str | None:
    """The commit of the code that runs, `+dirty` where tracked files differ; None outside a git checkout."""
    root = Path(__file__).resolve().parent.parent

    def git(*words: str) -> str:
        return subprocess.run(
            ["git", "-C", str(root), *words], capture_output=True, text=True, check=True
        ).stdout.strip()

    try:
        return git("rev-parse", "HEAD") + ("+dirty" if git("status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.CalledProcessError):
        return None
