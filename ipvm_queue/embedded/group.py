"""One program and all that it starts, ended together."""

from __future__ import annotations

import subprocess
import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import signal
    from collections.abc import Mapping, Sequence
    from pathlib import Path

MAX_LOG_BYTES: Final = 4 * 1024 * 1024


class Group:
    """A child process in a process group of its own, with a guard that ends the group when this process ends.

    The guard is a shell that reads from a pipe which only this process can write to: it reads the end of the pipe
    when this process closes it, or is killed, and then sends `last` to every process of the group.
    """

    def __init__(
        self,
        argv: Sequence[str],
        *,
        directory: Path,
        log: Path,
        last: signal.Signals,
        env: Mapping[str, str] | None = None,
        keep: tuple[int, ...] = (),
    ) -> None:
        self.log = log
        self.started = time.monotonic()
        self._guard = subprocess.Popen(  # noqa: S603 - a constant but for the signal's name
            ["/bin/sh", "-c", f"read _; kill -s {last.name.removeprefix('SIG')} 0"],
            stdin=subprocess.PIPE,
            cwd="/",
            process_group=0,
        )
        bound(log, 0)
        with log.open("ab") as output:
            self.process = subprocess.Popen(  # noqa: S603 - our own interpreter, or Valkey's server
                argv,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=directory,
                env=env,
                pass_fds=keep,
                process_group=self._guard.pid,
            )

    @property
    def alive(self) -> bool:
        """Whether both the program and its guard run."""
        return self.process.poll() is None and self._guard.poll() is None

    @property
    def age(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self.started

    def stop(self, grace: float) -> None:
        """Ask the program to end, wait at most `grace` seconds, then end all that is left of the group."""
        self.process.terminate()
        try:
            self.process.wait(grace)
        except subprocess.TimeoutExpired:
            self.process.kill()
        if self._guard.stdin is not None:
            self._guard.stdin.close()
        self._guard.wait()
        self.process.wait()

    def tail(self, lines: int = 3) -> str:
        """Return the last lines of the log."""
        return "\n".join(self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])


def bound(log: Path, limit: int = MAX_LOG_BYTES) -> None:
    """Move a log of more than `limit` bytes to `NAME.1` in place, so that whoever appends to it goes on."""
    if log.exists() and log.stat().st_size > limit:
        log.with_suffix(".log.1").write_bytes(log.read_bytes()[-MAX_LOG_BYTES:])
        with log.open("r+b") as file:
            file.truncate(0)
