"""The process that owns an embedded stack, for as long as anyone holds it.

Run by `Embedded.join` as `python -P -m ipvm_queue.embedded.supervisor DIRECTORY FD`, where FD is the connection of
its first holder. A holder says `{"workers": bool}`, and is told `{"broker_url": …}` or `{"error": …}`, one JSON line
each; nothing more is said. It lets go by closing, or by shutting down its side and waiting for ours to close, which
happens when everything has stopped if it was the last holder, and at once if not.
"""

from __future__ import annotations

import fcntl
import json
import os
import selectors
import shutil
import signal
import socket
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

from ipvm_queue.embedded.group import Group, bound
from ipvm_queue.embedded.local import LOGS, SCRATCH, STACK, listen
from ipvm_queue.embedded.valkey import Valkey

OWNER: Final = "owner.lock"
_TICK: Final = 1.0
_OWNER_PATIENCE: Final = 30.0
_GRACE: Final = {"gate": 0.6, "worker": 0.6}
PARTS: Final = tuple(_GRACE)  # in the order in which they start
_STEADY: Final = 2.0
_MAX_DELAY: Final = 30.0


class Supervisor:
    """Valkey, perhaps gate and workers, and those who hold them."""

    def __init__(self, directory: Path, first: socket.socket) -> None:
        self._directory = directory
        self._logs = directory / LOGS
        self._scratch = directory / SCRATCH
        self._holders = {first}
        self._selector = selectors.DefaultSelector()
        self._stopping = False
        self._parts: dict[str, Group] = {}
        self._workers_wanted = False
        self._delays = dict.fromkeys(PARTS, 1.0)

    def run(self, owner: int) -> None:
        """Serve until the last holder is gone; `owner` is the lock, which Valkey holds too until it has ended."""
        self._valkey = Valkey(self._directory, self._logs, keep=(owner,))
        shutil.rmtree(self._scratch, ignore_errors=True)
        self._scratch.mkdir(mode=0o700)
        listener = listen(self._directory, STACK)
        try:
            self._selector.register(listener, selectors.EVENT_READ)
            for holder in self._holders:
                self._selector.register(holder, selectors.EVENT_READ)
            while self._holders and not self._stopping:
                for key, _events in self._selector.select(_TICK):
                    if key.fileobj is listener:
                        self._accept(listener)
                    elif isinstance(key.fileobj, socket.socket):
                        self._hear(key.fileobj)
                self._watch()
        finally:
            listener.close()
            (self._directory / STACK).unlink(missing_ok=True)
            for part in reversed(self._parts):
                self._parts[part].stop(_GRACE[part])
            self._valkey.stop()
            shutil.rmtree(self._scratch, ignore_errors=True)

    def stop(self) -> None:
        """Stop at the next tick."""
        self._stopping = True

    def _accept(self, listener: socket.socket) -> None:
        holder, _address = listener.accept()
        self._holders.add(holder)
        self._selector.register(holder, selectors.EVENT_READ)

    def _hear(self, holder: socket.socket) -> None:
        try:
            request = json.loads(holder.recv(4096))
        except (OSError, ValueError, RecursionError):
            request = None  # gone: nothing is no JSON
        match request:
            case {"workers": bool() as workers}:
                self._workers_wanted |= workers
                tell(holder, broker_url=self._valkey.url)
            case _:
                self._let_go(holder)

    def _let_go(self, holder: socket.socket) -> None:
        self._selector.unregister(holder)
        if len(self._holders) > 1:
            self._holders.discard(holder)
            holder.close()
        else:
            self._stopping = True  # the last one; its connection closes when this process ends

    def _watch(self) -> None:
        """Start what should run and does not."""
        if self._stopping:
            return
        if not self._valkey.group.alive:
            if self._valkey.group.age < _STEADY:
                raise RuntimeError(f"Valkey ended: {self._valkey.group.tail()}")
            self._valkey.restart()
        for part in PARTS if self._workers_wanted else ():
            if part not in self._parts or not self._parts[part].alive:
                self._start(part)
        for log in self._logs.glob("*.log"):
            bound(log)

    def _start(self, part: str) -> None:
        before = self._parts.get(part)
        if before is not None:
            if before.age < self._delays[part]:
                return
            self._delays[part] = 1.0 if before.age > _MAX_DELAY else min(_MAX_DELAY, self._delays[part] * 2)
            before.stop(0)
        self._parts[part] = Group(
            command(part, len(os.sched_getaffinity(0))),
            directory=self._directory,
            log=self._logs / f"{part}.log",
            last=signal.SIGKILL,
            env=os.environ
            | {"IPVM_BROKER_URL": self._valkey.url, "IPVM_SINGLE_OWNER": "true", "TMPDIR": str(self._scratch)},
        )


def command(part: str, slots: int) -> list[str]:
    """Return the command of the gate or the worker; mingle is off because it waits a second for other workers."""
    app = {"gate": "ipvm_queue.worker.gate", "worker": "ipvm_queue.worker"}[part]
    pool = {"gate": ["-P", "solo"], "worker": ["-P", "prefork", "-c", str(slots)]}[part]
    name = f"embedded-{part}-{os.getpid()}@%h"
    celery = [sys.executable, "-P", "-m", "celery", "-A", app, "worker"]
    return [*celery, *pool, "-n", name, "--without-mingle", "--without-gossip"]


def tell(holder: socket.socket, **words: str) -> None:
    """Send one line; a holder that is gone is no error."""
    with suppress(OSError):
        holder.sendall(json.dumps(words).encode() + b"\n")


def own(directory: Path) -> int:
    """Take the lock that one stack at a time has; waits for one that is stopping."""
    lock = os.open(directory / OWNER, os.O_RDWR | os.O_CREAT, 0o600)
    deadline = time.monotonic() + _OWNER_PATIENCE
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise RuntimeError(f"another stack still owns {directory}") from None
            time.sleep(0.01)
        else:
            return lock


def main() -> None:
    """Run a supervisor; whatever goes wrong before it serves is told to its first holder."""
    if os.fork():
        os._exit(0)  # so that the supervisor is nobody's child: who started it need not wait for its end
    directory = Path(sys.argv[1])
    first = socket.socket(fileno=int(sys.argv[2]))
    supervisor = Supervisor(directory, first)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: supervisor.stop())
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    os.chdir(directory)
    try:
        supervisor.run(own(directory))
    except (RuntimeError, OSError) as error:
        tell(first, error=str(error))
        sys.stderr.write(f"{error}\n")
        sys.stderr.flush()
    os._exit(0)  # holders see their connection closed when the process is gone, not while it tidies up


if __name__ == "__main__":
    main()
