"""Which code made a result, asked of a real repository."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from engram_sweep.atomic_files import write_json
from engram_sweep.runs.provenance import CODE_FILE
from tests.conftest import ROOT


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The package in a repository of its own."""
    root = tmp_path / "repository"
    shutil.copytree(
        ROOT / "engram_sweep", root / "engram_sweep", ignore=shutil.ignore_patterns("__pycache__")
    )
    for words in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "all"]):
        subprocess.run(
            ["git", "-c", "user.name=a", "-c", "user.email=a@b", *words], cwd=root, check=True
        )
    return root


def state(root: Path) -> dict[str, str | None]:
    code = (
        "import json; from engram_sweep.runs.provenance import code_state; "
        "print(json.dumps(code_state()))"
    )
    words = [sys.executable, "-c", code]
    done = subprocess.run(
        words, cwd=root, env={"PYTHONPATH": str(root), "PATH": "/usr/bin:/bin"}, capture_output=True
    )
    return json.loads(done.stdout)


def test_a_clean_checkout_a_changed_one_and_none(copy: Path) -> None:
    clean = state(copy)
    assert clean["git_commit"] is not None
    assert len(clean["git_commit"]) == 40
    assert clean["git_diff"] is None
    source = copy / "engram_sweep" / "worker.py"
    source.write_text(source.read_text() + "# one\n")
    one = state(copy)
    assert one["git_commit"] == clean["git_commit"] + "+dirty"
    source.write_text(source.read_text() + "# two\n")
    assert state(copy)["git_diff"] not in (None, one["git_diff"]), (
        "another difference is another hash"
    )
    shutil.rmtree(copy / ".git")
    assert state(copy) == {"git_commit": None, "git_diff": None}
    write_json(copy / CODE_FILE, one)
    assert state(copy) == one, "a copy tells what it is a copy of"
