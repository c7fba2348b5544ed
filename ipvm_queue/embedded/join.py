"""Joining an embedded stack, and starting it where there is none."""

from __future__ import annotations

import fcntl
import json
import os
import select
import socket
import sys
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final, Self

from ipvm_queue.embedded.local import LOGS, STACK, connect
from ipvm_queue.errors import UnavailableError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from types import TracebackType

    from ipvm_queue.settings import Settings

_PATIENCE: Final = 60.0
_FAREWELL: Final = 20.0
_HOLDER_FD: Final = 3


class Embedded:
    """A hold on the embedded stack of a data directory and queue.

    `with Embedded.join(settings) as stack:` keeps the stack up for the block, and `stack.broker_url` is its Valkey.
    Its workers may still be starting. Leaving the block waits until all has stopped, if no one else holds the stack.
    """

    def __init__(self, connection: socket.socket, broker_url: str, directory: Path) -> None:
        self._connection = connection
        self.broker_url = broker_url
        self.directory = directory

    @classmethod
    def join(cls, settings: Settings, *, workers: bool = True) -> Embedded:
        """Join the stack, with its workers if they are wanted; raises `UnavailableError` if it does not start."""
        directory = _directory(settings)
        _prepare(directory)
        with _starting(directory):
            try:
                connection = connect(directory, STACK)
                return cls(connection, _greet(connection, directory, workers=workers), directory)
            except (OSError, EOFError):
                pass  # nobody there, or on its way out
            connection = _start(directory, settings)
            try:
                return cls(connection, _greet(connection, directory, workers=workers), directory)
            except (OSError, EOFError) as error:
                raise _not_started(directory, str(error)) from error

    @property
    def logs(self) -> Path:
        """The directory of the parts' logs."""
        return self.directory / LOGS

    def ended(self, timeout: float) -> bool:
        """Whether the stack has ended by itself; waits `timeout` seconds for that."""
        readable, _, _ = select.select([self._connection], [], [], timeout)
        return bool(readable)

    def close(self) -> None:
        """Let go; returns when the stack has stopped, or at once if others hold it."""
        with self._connection, suppress(OSError):
            self._connection.shutdown(socket.SHUT_WR)
            self._connection.settimeout(_FAREWELL)
            while self._connection.recv(4096):
                pass

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


def log_of(settings: Settings, part: str) -> Path:
    """Return where a part of the stack writes its log: `valkey`, `worker`, `flower` or `supervisor`."""
    return _directory(settings) / LOGS / f"{part}.log"


def _directory(settings: Settings) -> Path:
    return settings.data_dir / "embedded" / settings.queue


def _prepare(directory: Path) -> None:
    try:
        (directory / LOGS).mkdir(parents=True, exist_ok=True, mode=0o700)
        found = directory.stat()
        if found.st_uid != os.geteuid():
            raise UsageError(f"{directory} belongs to another user", hint="set data_dir to a directory of your own")
        directory.chmod(0o700)  # parents are made with the umask's mode, and the password of Valkey stands in here
    except OSError as error:
        raise UsageError(
            f"cannot use {directory}: {error.strerror}", hint="set data_dir to a directory of your own"
        ) from (error)


@contextmanager
def _starting(directory: Path) -> Iterator[None]:
    """Hold the lock of those who start a stack, so that two commands do not start two."""
    lock = os.open(directory / "start.lock", os.O_RDWR | os.O_CREAT, 0o600)
    deadline = time.monotonic() + _PATIENCE
    try:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise _not_started(directory, "another command is still starting it") from None
                time.sleep(0.01)
        yield
    finally:
        os.close(lock)


def _start(directory: Path, settings: Settings) -> socket.socket:
    """Start a supervisor in a session of its own and return the connection that holds it."""
    ours, theirs = socket.socketpair()
    environment = {name: value for name, value in os.environ.items() if not name.startswith("IPVM_")}
    log = directory / LOGS / "supervisor.log"
    descriptor = theirs.fileno()
    with theirs:
        child = os.posix_spawn(
            sys.executable,
            # -P: what stands in the directory where a command happens to run is not imported
            [sys.executable, "-P", "-m", "ipvm_queue.embedded.supervisor", str(directory), str(_HOLDER_FD)],
            environment | settings.environment(),
            file_actions=[
                (os.POSIX_SPAWN_DUP2, descriptor, _HOLDER_FD),
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_OPEN, 1, str(log), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600),
                (os.POSIX_SPAWN_DUP2, 1, 2),
            ],
            setsid=True,
        )
    os.waitpid(child, 0)  # it leaves the supervisor, a child of its own, to itself
    return ours


def _greet(connection: socket.socket, directory: Path, *, workers: bool) -> str:
    """Say what is wanted and return the broker's address; closes the connection if that fails."""
    connection.settimeout(_PATIENCE)
    try:
        connection.sendall(json.dumps({"workers": workers}).encode() + b"\n")
        answer = json.loads(_line(connection))
    except (OSError, EOFError):
        connection.close()
        raise
    if "error" in answer:
        connection.close()
        raise _not_started(directory, answer["error"])
    return str(answer["broker_url"])


def _line(connection: socket.socket) -> bytes:
    line = b""
    while not line.endswith(b"\n"):
        part = connection.recv(4096)
        if not part:
            raise EOFError("its supervisor ended")
        line += part
    return line


def _not_started(directory: Path, reason: str) -> UnavailableError:
    return UnavailableError(
        f"the embedded stack did not start: {reason}",
        hint=f"its logs are in {directory / LOGS}",
        logs=str(directory / LOGS),
    )
