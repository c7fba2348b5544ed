"""Flower on the loopback, for as long as the process that started it."""

from __future__ import annotations

import importlib.util
import os
import signal
import socket
import sys
from typing import TYPE_CHECKING, Final

from ipvm_queue.embedded.group import Group
from ipvm_queue.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

PORT: Final = 5555
_COLUMNS: Final = "name,args,state,uuid,received,runtime,worker"


def is_installed() -> bool:
    """Whether the extra `flower` is there."""
    return importlib.util.find_spec("flower") is not None


def start(broker_url: str, queue: str, directory: Path, logs: Path, port: int) -> Group:
    """Start a Flower that shows and changes nothing; it ends with this process, whatever ends it."""
    celery = [sys.executable, "-P", "-m", "celery", "-A", "ipvm_queue.worker", "flower"]
    options = [f"--port={port}", "--address=127.0.0.1", "--read_only=True", f"--tasks_columns={_COLUMNS}"]
    return Group(
        [*celery, *options],
        directory=directory,
        log=logs / "flower.log",
        last=signal.SIGKILL,
        env=os.environ | {"IPVM_BROKER_URL": broker_url, "IPVM_QUEUE": queue},
    )


def choose_port(wanted: int | None = None) -> int:
    """Return the port that is wanted; without one Flower's usual port, or a free one where that is taken.

    Raises `UsageError` where the port that is wanted is not to be had.
    """
    if wanted is not None:
        return _bound(wanted)
    try:
        return _bound(PORT)
    except UsageError:
        return _bound(0)


def _bound(port: int) -> int:
    """Return a port that can be listened on, a free one for 0; raises `UsageError`."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as Flower does: old connections may linger
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            message = f"Flower cannot have the port {port}: {error.strerror}"
            raise UsageError(message, hint="name another with --port, or none: a free one is found") from error
        return int(probe.getsockname()[1])
