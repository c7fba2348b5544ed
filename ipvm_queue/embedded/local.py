"""What stands where in a stack's directory, and sockets in it, however long its name.

A socket's address has room for 107 bytes, so it goes through the directory's descriptor.
"""

from __future__ import annotations

import os
import socket
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

STACK: Final = "stack.sock"
VALKEY: Final = "valkey.sock"
LOGS: Final = "logs"
SCRATCH: Final = "tmp"  # the parts' temporary files: they may be killed, and then leave them


def connect(directory: Path, name: str) -> socket.socket:
    """Return a connection to the socket `name` in `directory`; raises `OSError` if nobody listens."""
    client = socket.socket(socket.AF_UNIX)
    try:
        with _short(directory, name) as address:
            client.connect(address)
    except OSError:
        client.close()
        raise
    return client


def listen(directory: Path, name: str) -> socket.socket:
    """Return a socket that listens as `name` in `directory`, in place of one left over."""
    (directory / name).unlink(missing_ok=True)
    server = socket.socket(socket.AF_UNIX)
    with _short(directory, name) as address:
        server.bind(address)
    server.listen(64)
    return server


@contextmanager
def _short(directory: Path, name: str) -> Iterator[str]:
    descriptor = os.open(directory, os.O_PATH | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{descriptor}/{name}"
    finally:
        os.close(descriptor)
