"""Compiled modules on disk: made by the compile child, kept in a private directory, checked before every load.

An artefact is native code: whoever can change one can run anything, and a flipped bit can end the process. So the
directory belongs to the user alone, and each file starts with a digest over engine, CID and code. What fails the check
is thrown away and compiled again. A module that cannot be compiled is remembered for a while, so that it does not keep
every worker busy in turn; what went wrong on this machine alone is not, and only its log says more about it.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import logging
import os
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final

from ipvm_queue.cache import MAX_BYTES, Cache
from ipvm_queue.errors import UsageError
from ipvm_queue.wasm import compile as compiler
from ipvm_queue.wasm.engine import engine_key
from ipvm_queue.wasm.leftovers import sweep
from ipvm_queue.wasm.outcome import CallError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ipvm_queue.ipld import Link

_log: Final = logging.getLogger(__name__)

_DIGEST_BYTES: Final = 32
_LOCK_SECONDS: Final = 0.02
_LOCK_PATIENCE: Final = 5.0  # seconds; compiling once more costs less than waiting for ever
_LIMIT_SIGNALS: Final = frozenset((signal.SIGXCPU, signal.SIGABRT, signal.SIGSEGV))  # CPU; memory, in the engine


@dataclass(frozen=True, slots=True)
class CompileLimits:
    """What compiling one module may use, and what is kept: seconds of CPU, seconds of wall clock, bytes, seconds.

    `wall`, with the wait for another process before it, is less than what a task is given beside its own time: who
    compiles must be there to remember that it took too long.
    """

    cpu: int = 60
    wall: float = 120.0
    address_space: int = 4 << 30
    failure_lifetime: float = 600.0
    cache_bytes: int = MAX_BYTES


class Artefacts:
    """The artefacts of this engine under `directory`; raises `UsageError` if the directory is not the user's own."""

    def __init__(self, directory: Path, limits: CompileLimits) -> None:
        self._key = engine_key()
        self._directory = directory / self._key
        self._limits = limits
        self._make_directory()
        self._cache = Cache(self._directory, "*.cwasm", limits.cache_bytes)
        self._sweep()

    def _make_directory(self) -> None:
        try:
            self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            status = self._directory.lstat()
        except OSError as error:
            raise UsageError(
                f"the module cache {self._directory.parent} cannot be used: {error.strerror}",
                hint="point it to a directory of yours",
            ) from error
        if status.st_uid != os.getuid() or self._directory.is_symlink():
            raise UsageError(
                f"{self._directory} holds native code and is not yours", hint="point the module cache elsewhere"
            )
        self._directory.chmod(0o700)

    def _sweep(self) -> None:
        self._swept = time.monotonic()
        sweep(self._directory, self._limits.failure_lifetime)

    def load(self, cid: Link, kind: str, data: bytes) -> bytes:
        """Return the artefact of the module in `data`, compiled now if it is not there yet; raises `CallError`."""
        try:
            return self._load(cid, kind, data)
        except (OSError, UsageError) as error:
            _log.warning("the module cache cannot be used", exc_info=True)
            raise CallError("host", "this machine's module cache cannot be used; its log says why", "runner") from error

    def _load(self, cid: Link, kind: str, data: bytes) -> bytes:
        path = self._directory / f"{cid.key}.cwasm"
        code = self._checked(path, cid)
        if code is None:
            self._raise_known_failure(cid)
            self._make_directory()  # it may be deleted at any time
            with self._lock(cid):
                code = self._checked(path, cid)  # another worker may have been faster
                if code is None:
                    self._raise_known_failure(cid)
                    code = self._compile(path, cid, kind, data)
        return code

    def discard(self, cid: Link) -> None:
        """Forget an artefact that the engine will not load."""
        (self._directory / f"{cid.key}.cwasm").unlink(missing_ok=True)

    def _checked(self, path: Path, cid: Link) -> bytes | None:
        try:
            with path.open("rb") as file:
                digest = file.read(_DIGEST_BYTES)
                code = file.read()
        except FileNotFoundError:
            return None
        if digest != self._digest(cid, code):
            path.unlink(missing_ok=True)
            return None
        self._cache.used(path)
        return code

    def _digest(self, cid: Link, code: bytes) -> bytes:
        digest = hashlib.sha256(f"{self._key} {cid.key} ".encode())
        digest.update(code)
        return digest.digest()

    def _compile(self, path: Path, cid: Link, kind: str, data: bytes) -> bytes:
        if time.monotonic() - self._swept > self._limits.failure_lifetime:
            self._sweep()
        with tempfile.TemporaryDirectory(dir=self._directory, prefix="tmp-") as scratch:
            output = Path(scratch) / "code"
            try:
                self._run_child(kind, output, data)
            except CallError as failure:
                self._remember(cid, failure)
                raise
            code = output.read_bytes()
            complete = Path(scratch) / "complete"
            complete.write_bytes(self._digest(cid, code) + code)
            complete.replace(path)
        self._cache.added(path, len(code))
        return code

    def _run_child(self, kind: str, output: Path, data: bytes) -> None:
        limits = self._limits
        command = [
            sys.executable,
            "-P",
            compiler.__file__,
            kind,
            str(output),
            str(limits.cpu),
            str(limits.address_space),
        ]
        try:
            done = subprocess.run(command, input=data, capture_output=True, timeout=limits.wall, check=False)  # noqa: S603
        except subprocess.TimeoutExpired as error:
            raise CallError("compile-limit", f"compiling took more than {limits.wall:g} s", "guest") from error
        except OSError as error:
            _log.warning("the compiler did not start", exc_info=True)
            raise CallError("host", f"the compiler did not start: {error.strerror}", "runner") from error
        if done.returncode == compiler.INVALID:
            words = " ".join(done.stdout.decode(errors="replace").split())
            raise CallError("invalid-module", words, "guest")
        if done.returncode == compiler.TOO_LARGE or -done.returncode in _LIMIT_SIGNALS:
            raise CallError(
                "compile-limit",
                f"compiling used more than {limits.cpu} s of CPU or {limits.address_space >> 20} MiB of memory",
                "guest",
            )
        if done.returncode:
            _log.warning(
                "the compiler ended with %d: %s", done.returncode, done.stderr[-2000:].decode(errors="replace")
            )
            raise CallError("host", "the compiler failed on this machine, whose log says why", "runner")

    def _failure_path(self, cid: Link) -> Path:
        return self._directory / f"{cid.key}.failed"

    def _remember(self, cid: Link, failure: CallError) -> None:
        if failure.fault == "runner":
            return
        record = [failure.code.removeprefix("wasm/"), failure.message, time.time() + self._limits.failure_lifetime]
        with suppress(OSError):  # the disk may be full: the failure itself is what its requestor is to hear
            self._failure_path(cid).write_text(json.dumps(record))

    def _raise_known_failure(self, cid: Link) -> None:
        path = self._failure_path(cid)
        try:
            code, message, until = json.loads(path.read_text())
        except (FileNotFoundError, ValueError):
            return
        if until > time.time():
            raise CallError(code, message, "guest")
        path.unlink(missing_ok=True)

    @contextmanager
    def _lock(self, cid: Link) -> Iterator[None]:
        """Let one process compile a module; who has waited long (that process may stand still) goes on all the same."""
        path = self._directory / f"{cid.key}.lock"
        deadline = time.monotonic() + _LOCK_PATIENCE
        with path.open("w") as file:
            while not _try_lock(file) and time.monotonic() < deadline:
                time.sleep(_LOCK_SECONDS)
            try:
                yield
            finally:
                path.unlink(missing_ok=True)  # at worst two compile the same module


def _try_lock(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
