"""Folders that jobs trust: made private, and checked when they are there."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from engram_sweep import own_folders
from engram_sweep.errors import UserError
from engram_sweep.own_folders import check_own, own_folder, private_files, show_to_group
from tests.faults.users import give_to_mallory


@pytest.fixture(autouse=True)
def umask():
    before = os.umask(0o002)
    yield
    os.umask(before)


def test_a_folder_is_made_with_its_mode_and_kept(tmp_path: Path) -> None:
    folder = own_folder(tmp_path / "made")
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    (folder / "file").touch(0o600)
    assert own_folder(folder) == folder
    assert (folder / "file").exists()


def test_a_file_in_its_place_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "file").touch(0o600)
    with pytest.raises(FileExistsError):
        own_folder(tmp_path / "file")


def test_what_others_may_write_to_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "shared"
    folder.mkdir()
    for mode in (0o720, 0o702, 0o777):
        folder.chmod(mode)
        with pytest.raises(UserError, match=f"chmod -R go-w {folder}"):
            own_folder(folder)


def test_what_is_another_user_s_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "theirs"
    folder.mkdir(0o755)
    give_to_mallory(folder)
    with pytest.raises(UserError, match=r"theirs: expected it to be .* found it to be"):
        check_own([folder])


def test_another_user_s_link_to_one_s_own_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir(0o755)
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "mine")
    check_own([link])
    give_to_mallory(link)
    with pytest.raises(UserError, match="link: expected it to be"):
        check_own([link])


def test_files_made_from_now_on(tmp_path: Path) -> None:
    for group_readable, before, mode in (
        (False, 0o002, 0o644), (False, 0o077, 0o600), (True, 0o077, 0o640), (True, 0o000, 0o640),
    ):  # fmt: skip
        os.umask(before)
        private_files(group_readable)
        path = tmp_path / f"{group_readable}-{before}"
        path.touch()
        assert stat.S_IMODE(path.stat().st_mode) == mode


def test_the_group_may_look_into_a_folder_that_is_shown_to_it(tmp_path: Path) -> None:
    folder = own_folder(tmp_path / "run")
    (folder / "record").touch(0o600)
    (folder / "link").symlink_to("/etc/passwd")
    before = Path("/etc/passwd").stat().st_mode
    show_to_group(folder)
    show_to_group(tmp_path / "none")
    assert [stat.S_IMODE(p.stat().st_mode) for p in (folder, folder / "record")] == [0o750, 0o640]
    assert Path("/etc/passwd").stat().st_mode == before


def test_users_without_a_name_are_numbers() -> None:
    assert own_folders.user_name(4_000_000_000) == "user 4000000000"
