"""The three standard streams as every command has them: there whatever was closed, and with errors in words."""

from __future__ import annotations

import io
import os
import sys
from typing import Any, Final, TextIO

from ipvm_queue.errors import UsageError

NOT_READ: Final = 141  # what a shell says of a command that a broken pipe has ended
_IN: Final = 0
_OUT: Final = 1
_ERR: Final = 2


class _Results(io.FileIO):
    """Standard output: raises `UsageError` where it cannot be written, ends the process where nobody reads it."""

    _lost = False

    def write(self, data: Any, /) -> int:
        """Write bytes; after an error those that are left are dropped, so that it is reported once."""
        if self._lost:
            return len(memoryview(data))
        try:
            return super().write(data)
        except OSError as error:
            self._lost = True
            if isinstance(error, BrokenPipeError):
                raise SystemExit(NOT_READ) from None
            raise UsageError(f"cannot write standard output: {error.strerror}") from error


class _Words(io.FileIO):
    """Standard error: words that cannot be written are lost, and no result with them."""

    def write(self, data: Any, /) -> int:
        """Write bytes, or drop them."""
        try:
            return super().write(data)
        except OSError:
            return len(memoryview(data))


def prepare() -> None:
    """Set up the standard streams of this process; one that its caller has closed reads and writes nothing."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            os.dup2(os.open(os.devnull, os.O_RDWR), number)
    sys.stdin = sys.stdin or os.fdopen(_IN)
    sys.stdout = _text(_Results(_OUT, "wb", closefd=False), sys.stdout)
    sys.stderr = _text(_Words(_ERR, "wb", closefd=False), sys.stderr)


def _text(raw: io.FileIO, before: TextIO | None) -> io.TextIOWrapper:
    encoding = getattr(before, "encoding", None)  # the locale's where the stream was closed
    return io.TextIOWrapper(io.BufferedWriter(raw), encoding, "backslashreplace", line_buffering=True)
