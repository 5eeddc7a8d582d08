"""What `torch.compile` needs on the CPU beside torch: a C++ compiler and Python's headers."""

from __future__ import annotations

import os
import shutil
import sysconfig
from pathlib import Path


def compiler_is_missing() -> str | None:
    """Return what is missing on this machine, in a few words; None if nothing is."""
    words = os.environ.get("CXX", "g++").split()
    if not words or shutil.which(words[0]) is None:
        return f"no C++ compiler ({' '.join(words[:1]) or 'CXX is empty'})"
    if not (Path(sysconfig.get_path("include")) / "Python.h").exists():
        return "no headers of Python"
    return None
