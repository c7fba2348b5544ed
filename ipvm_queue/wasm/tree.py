"""A directory that a stranger fills: whether it holds more than it may, and its removal, whatever it holds.

Both go from directory to directory by descriptors and never through a link: a path may be longer than the system takes.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from secrets import token_hex
from stat import S_ISREG
from typing import Final

MAX_DEPTH: Final = 128
"""Directories that may lie in one another: as many as a job can name (`effects/folder.py`)."""
_BLOCK: Final = 4096  # what a file or a directory costs at least
_DIRECTORY: Final = os.O_DIRECTORY | os.O_NOFOLLOW
_DESCRIPTORS: Final = Path("/proc/self/fd")


def exceeds(directory: Path, most: int) -> bool:
    """Whether all under a directory takes more than `most` bytes, each file and each directory at least a block.

    What cannot be looked at, or lies more than `MAX_DEPTH` directories deep, may be of any size: that is more, too.
    """
    try:
        return _left(str(directory), None, most, MAX_DEPTH) < 0
    except OSError:
        return True


def _left(name: str, parent: int | None, left: int, depth: int) -> int:
    """Return what a directory leaves of so many bytes, less than nothing where it is too deep; raises `OSError`."""
    if depth < 0:
        return -1
    try:
        directory = os.open(name, _DIRECTORY, dir_fd=parent)
    except (FileNotFoundError, NotADirectoryError):  # it was removed while it was looked for
        return left
    try:
        inner = []
        with os.scandir(directory) as entries:
            for entry in entries:
                with suppress(FileNotFoundError):
                    left -= max(entry.stat(follow_symlinks=False).st_size, _BLOCK)
                    if entry.is_dir(follow_symlinks=False):
                        inner.append(entry.name)
        while inner and left >= 0:
            left = _left(inner.pop(), directory, left, depth - 1)
        return left
    finally:
        os.close(directory)


def nameless() -> int:
    """Return the bytes of files that this process has open and that lie in no directory any more; raises `OSError`."""
    total = 0
    for descriptor in _DESCRIPTORS.iterdir():
        with suppress(FileNotFoundError):  # it has been closed, as the one by which they are listed
            held = descriptor.stat()
            if held.st_nlink == 0 and S_ISREG(held.st_mode):
                total += max(held.st_size, _BLOCK)
    return total


def remove(directory: Path) -> None:
    """Remove a directory and all that is in it; what cannot be removed stays, and nothing is raised.

    A directory in a directory is moved to the top before it is emptied, so that none is too deep.
    """
    with suppress(OSError):
        top = os.open(directory, _DIRECTORY)
        try:
            ahead = ["."]
            while ahead:
                ahead += _empty(ahead.pop(), top)
        finally:
            os.close(top)
        directory.rmdir()


def _empty(name: str, top: int) -> list[str]:
    """Remove a directory in `top`, after its files; return the names in `top` of the directories that were in it."""
    moved = []
    with suppress(OSError):
        directory = os.open(name, _DIRECTORY, dir_fd=top)
        try:
            for entry in os.listdir(directory):  # noqa: PTH208 - it may have no path
                with suppress(OSError):
                    try:
                        os.unlink(entry, dir_fd=directory)
                    except IsADirectoryError:
                        _open_up(entry, directory)
                        there = token_hex(16)
                        os.rename(entry, there, src_dir_fd=directory, dst_dir_fd=top)
                        moved.append(there)
        finally:
            os.close(directory)
        os.rmdir(name, dir_fd=top)
    return moved


def _open_up(name: str, parent: int) -> None:
    """Let its owner, if that is us, do everything with a directory; raises `OSError`."""
    directory = os.open(name, os.O_PATH | _DIRECTORY, dir_fd=parent)
    try:
        (_DESCRIPTORS / str(directory)).chmod(0o700)
    finally:
        os.close(directory)
