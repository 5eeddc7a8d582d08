"""Jobs run the code that they were submitted with."""

from __future__ import annotations

import json
import stat
import subprocess
from pathlib import Path

import pytest

from engram_sweep.errors import UserError
from engram_sweep.launch import snapshot
from engram_sweep.launch.worker_command import worker_command

STATE = {"git_commit": "0" * 40, "git_diff": None}


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A package that can be edited; its folder is the working directory of its importer."""
    folder = tmp_path / "checkout" / "engram_sweep"
    (folder / "inner").mkdir(parents=True)
    (folder / "__init__.py").write_text("")
    (folder / "inner" / "__init__.py").write_text("WORD = 'as submitted'\n")
    (folder / "worker.py").write_text(
        "from engram_sweep.inner import WORD\n\n\ndef run(folder):\n    print(WORD)\n"
    )
    return folder


def say(code: Path, cwd: Path) -> str:
    """What a worker that was given the snapshot imports."""
    words = worker_command(code.parent.parent / "runs" / "0", code)
    return subprocess.run(words, cwd=cwd, capture_output=True, text=True, check=True).stdout.strip()


def test_an_edit_does_not_reach_a_snapshot(package: Path, tmp_path: Path) -> None:
    code = snapshot.take(tmp_path / "code", STATE, package)
    (package / "inner" / "__init__.py").write_text("WORD = 'edited'\n")
    assert say(code, package.parent) == "as submitted"
    edited = snapshot.take(tmp_path / "code", STATE, package)
    assert edited != code
    assert say(edited, package.parent) == "edited"


def test_the_same_code_is_copied_once(package: Path, tmp_path: Path) -> None:
    code = snapshot.take(tmp_path / "code", STATE, package)
    before = code.stat().st_ino
    say(code, tmp_path)
    assert snapshot.take(tmp_path / "code", STATE, package) == code
    assert code.stat().st_ino == before
    assert [path.name for path in code.parent.iterdir()] == [code.name], (
        "no temporary folder is left"
    )
    assert snapshot.take(tmp_path / "code", {**STATE, "git_diff": "+1"}, package) != code


def test_a_snapshot_is_private_and_says_where_it_comes_from(package: Path, tmp_path: Path) -> None:
    code = snapshot.take(tmp_path / "code", STATE, package)
    assert stat.S_IMODE(code.stat().st_mode) == 0o700
    assert json.loads((code / "code.json").read_text()) == STATE


def test_a_changed_snapshot_is_refused(package: Path, tmp_path: Path) -> None:
    code = snapshot.take(tmp_path / "code", STATE, package)
    (code / "engram_sweep" / "inner" / "__init__.py").write_text("WORD = 'by hand'\n")
    with pytest.raises(UserError, match="found it changed; delete this folder"):
        snapshot.take(tmp_path / "code", STATE, package)


def test_a_copy_that_fails_leaves_nothing(
    package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, data: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(snapshot, "write_json", full)
    with pytest.raises(OSError, match="No space left"):
        snapshot.take(tmp_path / "code", STATE, package)
    assert not list((tmp_path / "code").iterdir())


def test_this_package_is_what_is_copied_by_default(tmp_path: Path) -> None:
    code = snapshot.take(tmp_path, STATE)
    assert (code / "engram_sweep" / "worker.py").read_bytes() == (
        snapshot.PACKAGE / "worker.py"
    ).read_bytes()
    assert not list(code.rglob("__pycache__"))
