from __future__ import annotations

import json
import os
import threading
from pathlib import Path

import pytest

from engram_sweep.atomic_files import open_lock, read_json, read_plain, write_atomically, write_json


def test_a_failed_write_keeps_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "kept"
    path.write_text("old")

    def fail(temporary: Path) -> None:
        temporary.write_text("half of the n")
        raise RuntimeError("the power went")

    with pytest.raises(RuntimeError):
        write_atomically(path, fail)
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["kept"]


@pytest.mark.parametrize("text", [None, "", "{", "\udcff", "nul"])
def test_a_file_that_is_no_json_is_none(tmp_path: Path, text: str | None) -> None:
    path = tmp_path / "facts.json"
    if text is not None:
        path.write_bytes(text.encode(errors="surrogateescape"))
    assert read_json(path) is None


def test_a_reader_sees_the_old_or_the_new_file_and_never_a_part(tmp_path: Path) -> None:
    path = tmp_path / "facts.json"
    versions = [{"number": number, "fill": "x" * 50_000} for number in range(40)]
    write_json(path, versions[0])
    writer = threading.Thread(target=lambda: [write_json(path, one) for one in versions])
    writer.start()
    seen = []
    while writer.is_alive():
        seen.append(json.loads(path.read_text()))
    writer.join()
    assert all(one in versions for one in seen)
    assert read_json(path) == versions[-1]
    assert [one.name for one in tmp_path.iterdir()] == [path.name]


def test_a_written_file_has_the_user_s_own_permissions(tmp_path: Path) -> None:
    """A report is read by colleagues: no 0600 of a temporary file is left on it."""
    (tmp_path / "plain").touch()
    write_json(tmp_path / "facts.json", {})
    assert (tmp_path / "facts.json").stat().st_mode == (tmp_path / "plain").stat().st_mode


@pytest.mark.parametrize("kind", ["link", "second name", "link to nothing", "pipe", "folder"])
def test_a_lock_is_a_plain_file_with_one_name(tmp_path: Path, kind: str) -> None:
    """Anything else could be another file of the user, which would be emptied."""
    lock, victim = tmp_path / "lock", tmp_path / "victim"
    if kind != "link to nothing":
        victim.write_text("precious")
    if kind.startswith("link"):
        lock.symlink_to(victim)
    elif kind == "second name":
        os.link(victim, lock)
    elif kind == "pipe":
        os.mkfifo(lock)
    else:
        lock.mkdir()
    with pytest.raises(OSError, match=r"expected a plain file|Is a directory"):
        open_lock(lock)
    assert victim.exists() == (kind != "link to nothing")


def test_a_lock_is_made_once_and_found_again(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        open_lock(tmp_path / "lock", create=False)
    os.close(open_lock(tmp_path / "lock"))
    os.close(open_lock(tmp_path / "lock", create=False))


def test_a_file_larger_than_the_memory_is_no_readable_file(tmp_path: Path) -> None:
    path = tmp_path / "endless.json"
    with path.open("wb") as file:
        file.truncate(2**43)
    with pytest.raises(OSError, match="File too large"):
        read_plain(path)
    assert read_json(path) is None
