"""Flower on the loopback, for as long as the process that started it."""

from __future__ import annotations

import importlib.util
import os
import signal
import socket
import sys
from typing import TYPE_CHECKING, Final

from ipvm_queue.embedded.group import Group

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


def choose_port() -> int:
    """Return Flower's usual port, or a free one where it is taken."""
    for port in (PORT, 0):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise OSError("no port is free")
