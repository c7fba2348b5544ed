"""The child process in which one WASI guest runs: `python -m ipvm_queue.wasm.wasi_guest`, asked on standard input.

A process of its own, because the runtime behind WASI does not survive a fork, because a guest that sleeps in a host
call can only be ended with it, and because the kernel then bounds its files. It has no environment: no secret of the
worker's is in it. Its request is a line of JSON (`Request`) and the compiled module behind it; its answer a line of
JSON (`Answer`) and behind it what the guest wrote to its standard output and error.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn, TypedDict

import wasmtime
from wasmtime import component

from ipvm_queue.wasm import outcome
from ipvm_queue.wasm.compile import new_engine
from ipvm_queue.wasm.faults import failure_of
from ipvm_queue.wasm.outcome import CallError
from ipvm_queue.wasm.tree import MAX_DEPTH, exceeds, nameless
from ipvm_queue.wasm.wasi_effects import EFFECTS, Effects

if TYPE_CHECKING:
    from collections.abc import Callable

_WATCH: Final = 0.02  # seconds between looks at the scratch directory
_MAX_OPEN: Final = 512  # files at a time, among them those that it takes to look at the scratch directory
_NO_SPACE: Final = -28
_PAIR: Final = [wasmtime.ValType.i32(), wasmtime.ValType.i32()]
_PACKED: Final = [wasmtime.ValType.i64()]


class Request(TypedDict):
    """What to run: `kind` is `core` or `component`, `run` the export that is called, in seconds and bytes.

    A directory is its path here, its name for the guest, and whether it may be written to. `stdin` is a file.
    `effects` are two descriptors, to ask the worker for effects and to hear of them; none for a guest that has none.
    """

    kind: str
    run: str
    args: list[str]
    env: list[tuple[str, str]]
    stdin: str
    directories: list[tuple[str, str, bool]]
    scratch: str | None
    scratch_bytes: int
    gas: int
    memory: int
    time: float
    output: int
    effects: list[int]


class Answer(TypedDict):
    """What came of it: an exit code, or an error as a receipt has it; gas, if known; lengths of what was written."""

    exit: int | None
    error: dict[str, Any] | None
    gas: int | None
    stdout: int
    stderr: int


class _Sink:
    """Keeps what a guest writes, up to a limit that its two streams share; then there is no space left."""

    def __init__(self, room: int) -> None:
        self.room = room
        self.is_full = False

    def stream(self) -> tuple[bytearray, Callable[[bytes], int]]:
        kept = bytearray()

        def write(data: bytes) -> int:
            if len(data) > self.room:
                self.is_full = True
                return _NO_SPACE
            self.room -= len(data)
            kept.extend(data)
            return len(data)

        return kept, write


class _Watch:
    """Ends the guest when its time is over or its scratch directory too large; `reason` says which.

    A guest whose worker has died is ended with its process: nobody would hear what it has to say.
    """

    def __init__(self, engine: wasmtime.Engine, request: Request) -> None:
        self.reason: CallError | None = None
        self._engine = engine
        self._request = request
        self._parent = os.getppid()
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        end = time.monotonic() + self._request["time"]
        while time.monotonic() < end:
            if os.getppid() != self._parent:
                os._exit(1)
            if _is_full(self._request):
                self.reason = _scratch_full(self._request)
                break
            time.sleep(min(_WATCH, max(0.0, end - time.monotonic())))
        self._engine.increment_epoch()


def main() -> NoReturn:
    """Run the guest that standard input asks for, answer, and end the process: with 0, whatever the guest did."""
    request: Request = json.loads(sys.stdin.buffer.readline())
    code = sys.stdin.buffer.read()
    _limit(request)
    sink = _Sink(request["output"])
    (stdout, write_stdout), (stderr, write_stderr) = sink.stream(), sink.stream()
    wasi = wasmtime.WasiConfig()
    wasi.argv = request["args"]
    wasi.env = request["env"]
    wasi.stdin_file = request["stdin"]
    wasi.stdout_custom = write_stdout
    wasi.stderr_custom = write_stderr
    for host, guest, writable in request["directories"]:
        wasi.preopen_dir(host, guest, writable)
    answer = _run(request, code, wasi, sink)
    answer |= {"stdout": len(stdout), "stderr": len(stderr)}
    sys.stdout.buffer.write(json.dumps(answer).encode() + b"\n" + stdout + stderr)
    sys.stdout.buffer.flush()
    os._exit(0)  # the runtime's own threads may panic where the interpreter takes everything down


def _limit(request: Request) -> None:
    seconds = int(request["time"]) + 5
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))
    most = request["scratch_bytes"]
    files = min(_MAX_OPEN, resource.getrlimit(resource.RLIMIT_NOFILE)[1])
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))  # Python ignores the signal, so that the guest gets EFBIG


def _run(request: Request, code: bytes, wasi: wasmtime.WasiConfig, sink: _Sink) -> Answer:
    engine = new_engine()
    store = wasmtime.Store(engine)
    is_core = request["kind"] == "core"
    counts = (1, outcome.CORE_TABLES, outcome.CORE_MEMORIES)
    if not is_core:
        counts = (outcome.COMPONENT_INSTANCES, outcome.COMPONENT_TABLES, outcome.COMPONENT_MEMORIES)
    instances, tables, memories = counts
    store.set_limits(request["memory"], outcome.MAX_TABLE_ELEMENTS, instances, tables, memories)
    store.set_fuel(request["gas"])
    store.set_epoch_deadline(1)
    store.set_wasi(wasi)
    watch = _Watch(engine, request)
    answer: Answer = {"exit": None, "error": None, "gas": None, "stdout": 0, "stderr": 0}
    metered = True
    try:
        answer["exit"] = (_run_core if is_core else _run_component)(engine, store, code, request)
        _check_after(request, sink)
    except CallError as failure:
        answer["error"] = failure.as_dict()
    except (wasmtime.WasmtimeError, wasmtime.Trap) as error:
        end = failure_of(error)
        metered = end.metered
        answer["error"] = (watch.reason or end).as_dict()
    if metered:
        answer["gas"] = request["gas"] - store.get_fuel()
    return answer


def _check_after(request: Request, sink: _Sink) -> None:
    """Raise `CallError` for a guest that came to its end, but with too much written."""
    if _is_full(request):
        raise _scratch_full(request)
    if sink.is_full:
        raise CallError("output-limit", f"it wrote more than {request['output']} bytes", "requestor")


def _is_full(request: Request) -> bool:
    """Whether the guest's files are more than they may be: those in its directory, and open ones that lie in none."""
    scratch = request["scratch"]
    try:
        return scratch is not None and exceeds(Path(scratch), request["scratch_bytes"] - nameless())
    except OSError:  # so many are open that nobody can look any more
        return True


def _scratch_full(request: Request) -> CallError:
    most = request["scratch_bytes"]
    message = f"its files have more than {most} bytes, lie more than {MAX_DEPTH} directories deep, or too many are open"
    return CallError("scratch-limit", message, "requestor")


def _run_core(engine: wasmtime.Engine, store: wasmtime.Store, code: bytes, request: Request) -> int:
    linker = wasmtime.Linker(engine)
    linker.define_wasi()
    if request["effects"]:
        effects = Effects(*request["effects"])
        linker.define_func(*EFFECTS, wasmtime.FuncType(_PAIR, _PACKED), effects.call, access_caller=True)
    module = wasmtime.Module.deserialize(engine, code)
    linker.define_unknown_imports_as_traps(module)
    start = linker.instantiate(store, module).exports(store)[request["run"]]
    try:
        start(store)
    except wasmtime.ExitTrap as ended:
        return int(ended.code)
    return 0


def _run_component(engine: wasmtime.Engine, store: wasmtime.Store, code: bytes, request: Request) -> int:
    run = request["run"]
    linker = component.Linker(engine)
    linker.add_wasip2()  # without wasi:http, and no network is granted: sockets refuse to connect
    guest = component.Component.deserialize(engine, code)
    _check_run(guest, engine, run)
    linker.define_unknown_imports_as_traps(guest)
    instance = linker.instantiate(store, guest)
    interface = instance.get_export_index(store, run)
    index = interface and instance.get_export_index(store, "run", interface)
    start = index and instance.get_func(store, index)
    assert start  # noqa: S101 - `_check_run` has seen it
    try:
        result = start(store)
    except wasmtime.ExitTrap as ended:
        return int(ended.code)
    return int(getattr(result, "tag", "ok") == "err")


def _check_run(guest: component.Component, engine: wasmtime.Engine, run: str) -> None:
    """Raise `CallError` unless the interface has a function `run: func() -> result`."""
    interface = guest.type.exports(engine).get(run)
    functions = interface.ty.exports(engine) if interface else {}
    start = functions["run"].ty if "run" in functions else None
    if not isinstance(start, component.FuncType):
        raise CallError("missing-export", f"the component's {run} has no function run", "requestor")
    result = start.result
    if start.params or not isinstance(result, component.ResultType) or result.ok or result.err:
        raise CallError("bad-abi", f"the function run of the component's {run} is not func() -> result", "guest")


if __name__ == "__main__":
    main()
