"""A second user: what another account would have put somewhere, and commands under another uid."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

MALLORY = 65_534


def needs_root() -> None:
    """Stop a test that needs a second user; in CI that is a failure."""
    if os.geteuid() != 0:
        stop = pytest.fail if os.environ.get("CI") else pytest.skip
        stop("needs root: it acts as two users")


def give_to_mallory(*paths: Path) -> None:
    """Let files and folders, and all that is in them, be another user's."""
    needs_root()
    for path in paths:
        for each in (path, *path.rglob("*")):
            os.chown(each, MALLORY, MALLORY, follow_symlinks=False)
