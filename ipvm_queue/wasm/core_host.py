"""The imports of core modules.

`ipvm:host/blocks` `get(cid_ptr: i32, cid_len: i32) -> i64` reads the binary CID at `cid_ptr`, places the block where
the guest's own `ipvm_alloc` says, and returns `ptr << 32 | len`. Logging is swallowed. The handful of WASI preview 1
functions that a language runtime needs to print its panic and stop are here; everything else traps when it is called.
"""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING, Any, Final

import wasmtime

from ipvm_queue.wasm.faults import trap_failure
from ipvm_queue.wasm.host import MAX_CID_BYTES, Host, charge_call
from ipvm_queue.wasm.outcome import CallError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ipvm_queue.wasm.core_format import Import

BLOCKS: Final = "ipvm:host/blocks"
LOGGING: Final = "wasi:logging/logging"
_PREVIEW1: Final = "wasi_snapshot_preview1"
_U32: Final = 0xFFFFFFFF
_MAX_VECTORS: Final = 64
_BAD_DESCRIPTOR: Final = 8
_NO_SPACE: Final = 51


def link(engine: wasmtime.Engine, module: wasmtime.Module, imports: Sequence[Import], host: Host) -> wasmtime.Linker:
    """Return a linker that has every function that the module imports; it serves all of its instances."""
    linker = wasmtime.Linker(engine)
    linker.allow_shadowing = True  # a module may import the same function twice
    for item, kind in zip(imports, module.imports, strict=True):
        if item.kind == "function":
            function = _function(item.module, item.name, kind.type)
            if function is not None:
                linker.define_func(item.module, item.name, kind.type, _guarded(function, host), access_caller=True)
    linker.define_unknown_imports_as_traps(module)
    return linker


def _function(namespace: str, name: str, kind: Any) -> Callable[..., Any] | None:
    base = namespace.partition("@")[0]
    shape = (tuple(str(param) for param in kind.params), tuple(str(result) for result in kind.results))
    if base == LOGGING and name == "log" and not shape[1]:
        return _log
    function, wanted = _PROVIDED.get((base, name), (None, None))
    return function if shape == wanted else None


def _guarded(function: Callable[..., Any], host: Host) -> Callable[..., Any]:
    def call(caller: wasmtime.Caller, *args: Any) -> Any:
        try:
            charge_call(caller._context())  # noqa: SLF001
            return function(host, caller, *args)
        except CallError as failure:
            host.failure = failure
            raise
        except wasmtime.Trap as trap:  # of the guest's own ipvm_alloc
            host.failure = trap_failure(trap._consume())  # noqa: SLF001
            raise

    return call


def address(context: Any, memory: wasmtime.Memory, pointer: int, length: int) -> int:
    """Return the address of `length` bytes of linear memory; raises `CallError` where they are not all inside."""
    pointer &= _U32
    length &= _U32
    if pointer + length > memory.data_len(context):
        raise CallError(
            "bad-pointer", f"{length} bytes at {pointer} are outside the module's memory", "guest", cacheable=True
        )
    return ctypes.addressof(memory.data_ptr(context).contents) + pointer


def _memory(caller: wasmtime.Caller) -> wasmtime.Memory:
    memory = caller.get("memory")
    if not isinstance(memory, wasmtime.Memory):
        raise CallError("bad-abi", "the module exports no memory for its host to use", "guest", cacheable=True)
    return memory


def _get(host: Host, caller: wasmtime.Caller, pointer: int, length: int) -> int:
    memory = _memory(caller)
    if length & _U32 > MAX_CID_BYTES:
        raise CallError("bad-cid", f"a CID has at most {MAX_CID_BYTES} bytes", "guest", cacheable=True)
    begin = address(caller, memory, pointer, length)
    data = host.read_for_guest(caller._context(), ctypes.string_at(begin, length & _U32))  # noqa: SLF001
    allocate = caller.get("ipvm_alloc")
    if not isinstance(allocate, wasmtime.Func):
        raise CallError("bad-abi", "the module exports no ipvm_alloc for its host to use", "guest", cacheable=True)
    kind = allocate.type(caller)
    if [str(each) for each in (*kind.params, "->", *kind.results)] != ["i32", "->", "i32"]:
        raise CallError("bad-abi", "the module's ipvm_alloc is not i32 -> i32", "guest", cacheable=True)
    target: int = allocate(caller, len(data)) & _U32
    ctypes.memmove(address(caller, memory, target, len(data)), data, len(data))
    packed = target << 32 | len(data)
    return packed - (1 << 64) if packed >> 63 else packed


def _log(_host: Host, _caller: wasmtime.Caller, *_: int) -> None:
    return None


def _fd_write(host: Host, caller: wasmtime.Caller, *args: int) -> int:
    descriptor, vectors, count, written = args
    if descriptor not in (1, 2):
        return _BAD_DESCRIPTOR
    memory = _memory(caller)
    if not (0 <= count <= _MAX_VECTORS and host.stderr_room):
        return _NO_SPACE  # what is lost is said; a flood would only cost time
    total = 0
    for index in range(count):
        pair = ctypes.string_at(address(caller, memory, vectors + 8 * index, 8), 8)
        pointer, length = int.from_bytes(pair[:4], "little"), int.from_bytes(pair[4:], "little")
        begin = address(caller, memory, pointer, length)
        host.write_stderr(ctypes.string_at(begin, min(length, host.stderr_room)))
        total += length
    _store(caller, written, total & _U32)
    return 0


def _store(caller: wasmtime.Caller, pointer: int, value: int) -> None:
    ctypes.memmove(address(caller, _memory(caller), pointer, 4), value.to_bytes(4, "little"), 4)


def _sizes(_host: Host, caller: wasmtime.Caller, count: int, size: int) -> int:
    _store(caller, count, 0)
    _store(caller, size, 0)
    return 0


def _nothing(_host: Host, _caller: wasmtime.Caller, *_: int) -> int:
    return 0


def _exit(_host: Host, _caller: wasmtime.Caller, status: int) -> None:
    raise CallError("exit", f"the guest ended itself with status {status}", "guest", cacheable=True, status=status)


_PROVIDED: Final[dict[tuple[str, str], tuple[Callable[..., Any], tuple[tuple[str, ...], tuple[str, ...]]]]] = {
    (BLOCKS, "get"): (_get, (("i32", "i32"), ("i64",))),
    (_PREVIEW1, "fd_write"): (_fd_write, (("i32",) * 4, ("i32",))),
    (_PREVIEW1, "environ_sizes_get"): (_sizes, (("i32", "i32"), ("i32",))),
    (_PREVIEW1, "environ_get"): (_nothing, (("i32", "i32"), ("i32",))),
    (_PREVIEW1, "args_sizes_get"): (_sizes, (("i32", "i32"), ("i32",))),
    (_PREVIEW1, "args_get"): (_nothing, (("i32", "i32"), ("i32",))),
    (_PREVIEW1, "proc_exit"): (_exit, (("i32",), ())),
}
