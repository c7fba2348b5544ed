"""How much the files under a directory take: what bounds the folder of a guest that may fill it."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

_BLOCK: Final = 4096  # what a file or a directory costs at least


def size_of(directory: Path) -> int:
    """Return the bytes of all files under a directory, each file and each directory at least a block."""
    total, ahead = 0, [directory]
    while ahead:
        with suppress(OSError):  # what is removed while it is looked at
            for path in ahead.pop().iterdir():
                total += max(path.lstat().st_size, _BLOCK)
                if path.is_dir() and not path.is_symlink():
                    ahead.append(path)
    return total
