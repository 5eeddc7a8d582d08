"""Folders that nobody but the user can put anything into: jobs import code from there."""

from __future__ import annotations

import os
import pwd
import stat
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from engram_sweep.errors import UserError

PRIVATE = 0o700
GROUP_SHOWN = 0o750
SHOWN = 0o755
"""Modes of folders that nobody else may enter, that the group and that others may look into."""
OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


def own_folder(path: Path, mode: int = PRIVATE) -> Path:
    """Make a folder whose parent is there, or check the one that is there already.

    Returns:
        The path.

    Raises:
        UserError: it is there and belongs to someone else, or others may write to it.
        OSError: it cannot be made.
    """
    try:
        path.mkdir(mode=mode)
    except FileExistsError:
        if not path.is_dir():
            raise
    check_own([path])
    return path


def check_own(paths: Iterable[Path]) -> None:
    """Refuse folders and files that someone else could have put or changed.

    Raises:
        UserError: one belongs to someone else, or others may write to it: one line with the path.
        OSError: one is not there.
    """
    for path in paths:
        # A link counts by itself and by what it leads to.
        for found in (path.lstat(), _behind(path)):
            if found.st_uid != os.geteuid():
                raise UserError(
                    f"{path}: expected it to be {user_name(os.geteuid())}'s, who is at work here, "
                    f"found it to be {user_name(found.st_uid)}'s; name another folder by --results"
                )
        if found.st_mode & OTHERS_WRITE:
            raise UserError(
                f"{path}: expected that nobody else may write to it, because jobs trust what is "
                f"there; check what is in it, then: chmod -R go-w {path}"
            )


def _behind(path: Path) -> os.stat_result:
    """Return what a path leads to.

    Raises:
        UserError: it is a link that leads nowhere, or in a circle.
    """
    try:
        return path.stat()
    except OSError as error:
        raise UserError(
            f"{path}: expected a file or a folder, found a link that cannot be followed: "
            f"{error.strerror}"
        ) from None


def private_files(group_readable: bool) -> None:
    """Let what this process makes from now on be written by nobody else.

    Args:
        group_readable: let the group read it, whatever the umask was; others may not.
    """
    os.umask(0o027 if group_readable else os.umask(OTHERS_WRITE) | OTHERS_WRITE)


def show_to_group(folder: Path) -> None:
    """Let the group look into a folder that is there, and read the files of its first level."""
    with suppress(FileNotFoundError):
        folder.chmod(GROUP_SHOWN)
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.is_file(follow_symlinks=False):
                    os.chmod(entry, 0o640)


def folders_below(path: Path) -> list[Path]:
    """Return a folder and the folders in it, one level deep; nothing if it is not there."""
    if not path.is_dir():
        return []
    with os.scandir(path) as entries:
        return [path, *(Path(entry.path) for entry in entries if entry.is_dir())]


def user_name(uid: int) -> str:
    """Return the name of a user, or `user <number>` if it has none here."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"
