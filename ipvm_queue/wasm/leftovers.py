"""`sweep`: what lies in the module cache beside the artefacts in use, and goes when nobody needs it any more."""

from __future__ import annotations

import shutil
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from ipvm_queue.wasm.engine import FAMILY

if TYPE_CHECKING:
    from pathlib import Path

_WORK: Final = 3600.0  # seconds; compiling takes a minute at most, so who made the file was killed
_ENGINE: Final = 30 * 86400.0  # seconds; workers of another version may share the directory


def sweep(directory: Path, failure_lifetime: float) -> None:
    """Delete the failures in `directory` that are forgotten, the traces of killed workers, and engines long unused.

    Failures are kept for `failure_lifetime` seconds. An engine's directory lies beside `directory`; it is in use for a
    month after a file of it was.
    """
    for pattern, age in (("*.failed", failure_lifetime), ("*.lock", _WORK), ("tmp-*", _WORK)):
        for path in directory.glob(pattern):
            _delete(path, age)
    for path in directory.parent.glob(f"{FAMILY}*"):
        if path != directory:
            _delete(path, _ENGINE)


def _delete(path: Path, age: float) -> None:
    """Delete a file or directory unless it, or a file in it, was changed in the last `age` seconds."""
    with suppress(OSError):  # another worker was faster
        is_directory = path.is_dir() and not path.is_symlink()
        since = time.time() - age
        if any(each.lstat().st_mtime > since for each in (path, *(path.iterdir() if is_directory else ()))):
            return
        if is_directory:
            shutil.rmtree(path)
        else:
            path.unlink()
