"""A second user: what another account would have put somewhere, and commands under another uid."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.conftest import ROOT, command

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


def as_colleague(*words: str | Path) -> subprocess.CompletedProcess[str]:
    """Run `engram-sweep` as a user to whom files of `give_to_mallory` are another's.

    This python may lie where only root looks, so it stays root's, without root's right to pass
    over file modes.
    """
    needs_root()
    dropped = "-dac_override,-dac_read_search,-fowner"
    return subprocess.run(
        ["setpriv", f"--bounding-set={dropped}", *command(*words)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )
