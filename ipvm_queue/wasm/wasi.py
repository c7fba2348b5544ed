"""`Wasi`: one WASI command run in a child process, with the capabilities that it is granted and no other.

A core module that exports `_start` (preview 1), or a component that exports `wasi:cli/run` (preview 2). It always has
clocks and randomness; it has arguments, environment, input and directories as they are given, and no sockets: this
engine can open the network wholly or not at all. What it may have of the world beside that it asks its worker for.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from ipvm_queue.errors import ModuleError
from ipvm_queue.wasm.artefacts import Artefacts, CompileLimits
from ipvm_queue.wasm.engine import ENGINE
from ipvm_queue.wasm.module import inspect
from ipvm_queue.wasm.outcome import CallError
from ipvm_queue.wasm.wasi_effects import EFFECTS, Desk

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from ipvm_queue.ipld import Link
    from ipvm_queue.wasm.module import ModuleInfo

_START: Final = "_start"
_RUN: Final = "wasi:cli/run@0.2."
_GRACE: Final = 2.0  # seconds over its time after which a guest that sleeps in a host call is killed
_MODULE: Final = "ipvm_queue.wasm.wasi_guest"


class Directory(NamedTuple):
    """A directory that is granted: where it is here, what the guest calls it, whether it may write to it."""

    host: Path
    guest: str
    writable: bool


class Grants(NamedTuple):
    """What a guest is given. `scratch` is the directory among them whose size is bounded, None for none.

    `effects` answers what a core module asks of `ipvm:host/effects`; it is called in a thread, and must not raise.
    """

    args: Sequence[str] = ()
    env: Mapping[str, str] = {}
    stdin: bytes = b""
    directories: Sequence[Directory] = ()
    scratch: Path | None = None
    effects: Callable[[bytes], bytes] | None = None


class WasiLimits(NamedTuple):
    """What a guest may use: gas, seconds, and bytes of memory, of standard output and error together, of its files."""

    gas: int
    time: float
    memory: int
    output: int
    scratch: int


class WasiOutcome(NamedTuple):
    """How a guest ended: an exit code, or `error` as a receipt has it; what it wrote before; its gas, if known."""

    exit: int | None
    error: dict[str, Any] | None
    stdout: bytes
    stderr: bytes
    gas: int | None
    engine: str = ENGINE


class Wasi:
    """Runs WASI commands; `cache_dir` is where compiled modules are kept, the same as the executor's."""

    def __init__(self, cache_dir: Path, *, compile_limits: CompileLimits = CompileLimits()) -> None:  # noqa: B008
        self._artefacts = Artefacts(cache_dir, compile_limits)

    def run(self, module: Link, data: bytes, grants: Grants, limits: WasiLimits) -> WasiOutcome:
        """Run the command in `data`, whose CID is `module`; raises `CallError` where it could not be started."""
        begun = time.monotonic()
        try:
            info = inspect(data)
        except ModuleError as error:
            raise CallError("invalid-module", error.message, "guest") from error
        export = _entry(info)
        if grants.effects is not None:
            _check_place(info)
        code = self._artefacts.load(module, info.kind, data)
        left = limits.time - (time.monotonic() - begun)
        if left <= 0:
            raise CallError("time-limit", "the module was compiled, and no time was left to run it", "requestor")
        with tempfile.NamedTemporaryFile(prefix="ipvm-wasi-") as stdin:
            stdin.write(grants.stdin)
            stdin.flush()
            request = {
                "kind": info.kind,
                "run": export,
                "args": [str(module), *grants.args],
                "env": list(grants.env.items()),
                "stdin": stdin.name,
                "directories": [(str(item.host), item.guest, item.writable) for item in grants.directories],
                "scratch": None if grants.scratch is None else str(grants.scratch),
                "scratch_bytes": limits.scratch,
                "gas": limits.gas,
                "memory": limits.memory,
                "time": left,
                "output": limits.output,
                "effects": [],
            }
            return _run(request, code, left, grants.effects)


def _entry(info: ModuleInfo) -> str:
    """Return the export that is called; raises `CallError` for a module that is no command."""
    if info.kind == "core" and info.functions.get(_START) is not None:
        signature = info.functions[_START]
        if signature is not None and not signature.params and not signature.results:
            return _START
    found = [name for name in info.interfaces if name.startswith(_RUN)]
    if found:
        return found[0]
    raise CallError(
        "missing-export", "the module is no WASI command: it exports neither _start nor wasi:cli/run@0.2", "requestor"
    )


def _check_place(info: ModuleInfo) -> None:
    """Raise `CallError` for a module that asks for effects and has no place for the answers."""
    if EFFECTS in [(item.module, item.name) for item in info.imports] and not info.takes_bytes:
        message = "the module asks for effects, but exports no memory and ipvm_alloc(i32) -> i32 for the answers"
        raise CallError("bad-abi", message, "guest")


def _run(request: dict[str, Any], code: bytes, seconds: float, effects: Callable[[bytes], bytes] | None) -> WasiOutcome:
    command = [sys.executable, "-P", "-m", _MODULE]
    path = {name: os.environ[name] for name in ("PYTHONPATH", "LD_LIBRARY_PATH") if name in os.environ}
    with Desk(effects) as desk:
        request["effects"] = desk.descriptors
        asked = json.dumps(request).encode() + b"\n" + code
        try:
            done = subprocess.run(  # noqa: S603
                command,
                input=asked,
                capture_output=True,
                timeout=seconds + _GRACE,
                check=False,
                env=path,
                pass_fds=desk.descriptors,
            )
        except subprocess.TimeoutExpired as error:
            raise CallError("time-limit", "the call ran longer than its time limit", "requestor") from error
        except OSError as error:
            raise CallError("host", f"no process for the guest: {error}", "runner") from error
    head, _, written = done.stdout.partition(b"\n")
    if done.returncode or not head:
        last = done.stderr.decode(errors="replace").strip().rpartition("\n")[2][:300]
        raise CallError("crashed", f"the guest's process ended with {done.returncode}: {last}", "runner")
    answer = json.loads(head)
    split = answer["stdout"]
    return WasiOutcome(answer["exit"], answer["error"], written[:split], written[split:], answer["gas"])
