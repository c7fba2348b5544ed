"""`Cache`: files that can be had again, and what goes when there are too many bytes of them."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

MAX_BYTES: Final = 2 << 30
_SHARE: Final = 4
_PARTS: Final = 16  # of the room: after each of them is filled, all files are looked at


class Cache:
    """Keeps the files of a directory within `most` bytes: those that were used longest ago go.

    It takes no more than a quarter of its file system, which may be small and in memory. Other processes may do the
    same; the directory is then larger by a sixteenth for each of them, at most.
    """

    def __init__(self, directory: Path, pattern: str = "*", most: int = MAX_BYTES) -> None:
        self._directory = directory
        self._pattern = pattern
        self._most = most
        self._left = 0

    def used(self, path: Path) -> None:
        """Take note that a file was used."""
        with suppress(OSError):
            os.utime(path)

    def added(self, path: Path, size: int) -> None:
        """Take note of a new file of `size` bytes; others may have to go for it."""
        self._left -= size
        if self._left < 0:
            most = min(self._most, self._room() // _SHARE)
            self._left = most // _PARTS
            self._evict(path, most - self._left)

    def _room(self) -> int:
        """Return the bytes of the whole file system; 0 where the directory has just been deleted."""
        try:
            found = os.statvfs(self._directory)
        except OSError:
            return 0
        return found.f_frsize * found.f_blocks

    def _evict(self, keep: Path, most: int) -> None:
        files = []
        for path in self._directory.glob(self._pattern):
            with suppress(OSError):
                status = path.stat()
                files.append((status.st_mtime, status.st_size, path))
        excess = sum(size for _, size, _ in files) - most
        for _, size, path in sorted(files):
            if excess <= 0:
                return
            if path != keep:
                with suppress(OSError):
                    path.unlink(missing_ok=True)
                excess -= size
