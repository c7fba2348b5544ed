"""Programs of this machine, run without a shell: bounded in time and in what they write."""

from __future__ import annotations

import subprocess
import threading
import time
from typing import IO, TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

_CHUNK: Final = 65536
_POLL: Final = 0.05


class Ended(NamedTuple):
    """How a program ended: its exit code and what it wrote; `stopped` says what ended it, if it was us."""

    code: int
    stdout: bytes
    stderr: bytes
    stopped: str | None


def run(
    command: Sequence[str],
    *,
    env: Mapping[str, str],
    seconds: float,
    most: int,
    stdin: bytes = b"",
    watch: Callable[[], str | None] = lambda: None,
    stop: Callable[[], object] = lambda: None,
) -> Ended:
    """Run a program to its end; raises `OSError` where it cannot be started.

    After `seconds` it is stopped (`time-limit`), when both its streams have more than `most` bytes (`output-limit`),
    and when `watch` returns a word. To stop it is to call `stop`, if given, and to kill it.
    """
    end = time.monotonic() + seconds
    with subprocess.Popen(  # noqa: S603
        list(command), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=dict(env)
    ) as process:
        assert process.stdin is not None  # noqa: S101 - all three are pipes
        assert process.stdout is not None  # noqa: S101
        assert process.stderr is not None  # noqa: S101
        streams = _Streams(most)
        threads = [
            threading.Thread(target=streams.read, args=(process.stdout, streams.stdout), daemon=True),
            threading.Thread(target=streams.read, args=(process.stderr, streams.stderr), daemon=True),
            threading.Thread(target=_feed, args=(process.stdin, stdin), daemon=True),
        ]
        for thread in threads:
            thread.start()
        stopped = None
        while process.poll() is None and stopped is None:
            if streams.full.wait(_POLL):
                stopped = "output-limit"
            elif time.monotonic() > end:
                stopped = "time-limit"
            else:
                stopped = watch()
        if stopped is not None:
            stop()
            process.kill()
        for thread in threads[:2]:
            thread.join(_POLL * 20)
        code = process.wait()
    if stopped is None and streams.full.is_set():
        stopped = "output-limit"
    return Ended(code, bytes(streams.stdout), bytes(streams.stderr), stopped)


class _Streams:
    def __init__(self, room: int) -> None:
        self.stdout, self.stderr = bytearray(), bytearray()
        self.full = threading.Event()
        self._room = room
        self._lock = threading.Lock()

    def read(self, source: IO[bytes], into: bytearray) -> None:
        while data := source.read1(_CHUNK):  # type: ignore[attr-defined]
            with self._lock:
                into.extend(data[: self._room])
                self._room -= len(data)
                if self._room < 0:
                    self._room = 0
                    self.full.set()


def _feed(target: IO[bytes], data: bytes) -> None:
    try:
        with target:
            target.write(data)
    except (OSError, ValueError):  # it did not want all of it, or has been stopped
        return
