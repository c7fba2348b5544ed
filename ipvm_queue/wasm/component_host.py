"""The imports of components.

`ipvm:host/blocks` `get: func(cid: string | list<u8>) -> list<u8>` reads a block. Logging is swallowed. Of WASI there is
an empty environment, an exit that ends the call, and streams that keep what a runtime says before it gives up.
Everything else traps when it is called. Each function is offered only where the component's own types have the shape
that is expected here, since values are read from C memory by that shape.
"""

from __future__ import annotations

import ctypes
from ctypes import byref
from typing import TYPE_CHECKING, Any, Final

from wasmtime import _ffi as ffi
from wasmtime.component import ComponentInstanceType, FuncType, Linker, LinkerInstance, ResourceType

from ipvm_queue.wasm.faults import error_failure
from ipvm_queue.wasm.host import charge_bytes, charge_call
from ipvm_queue.wasm.outcome import CallError
from ipvm_queue.wasm.scalars import MismatchError
from ipvm_queue.wasm.wit import Budget, Integer, String, WitType, kind
from ipvm_queue.wasm.wit_compound import Bytes

if TYPE_CHECKING:
    from collections.abc import Callable

    import wasmtime
    from wasmtime.component import Component

    from ipvm_queue.wasm.host import Host

    Function = Callable[[Host, Any, Any, Any], None]  # host, context, arguments, slot of the result

_VAL: Final = ffi.wasmtime_component_val_t
_RESOURCES: Final = {("wasi:io/streams", "output-stream"): 1, ("wasi:io/error", "error"): 2}
_STREAM: Final = 1
_ROOM: Final = 4096
_NO_FINALIZER: Final = ctypes.cast(0, ctypes.CFUNCTYPE(None, ctypes.c_void_p))


class ComponentLinker:
    """Has every import of one component, for all of its instances."""

    def __init__(self, engine: wasmtime.Engine, component: Component, host: Host) -> None:
        self._component = component
        self._host = host
        self._callbacks: list[Any] = []  # the engine calls them for as long as the linker lives
        self._linker = Linker(engine)
        with self._linker.root() as root:
            for name, extern in component.type.imports(engine).items():
                exported = extern.ty
                if isinstance(exported, ComponentInstanceType) and name.partition("@")[0] in _INTERFACES:
                    with root.add_instance(name) as instance:
                        self._fill(instance, name.partition("@")[0], exported.exports(engine))
        self._linker.define_unknown_imports_as_traps(component)

    def instantiate(self, context: Any) -> Any:
        """Return a new instance in a store; raises `CallError`."""
        instance = ffi.wasmtime_component_instance_t()
        error = ffi.wasmtime_component_linker_instantiate(
            self._linker.ptr(), context, self._component.ptr(), byref(instance)
        )
        if error:
            raise error_failure(error)
        return instance

    def _fill(self, instance: LinkerInstance, interface: str, exports: dict[str, Any]) -> None:
        for name, extern in exports.items():
            exported = extern.ty
            if isinstance(exported, FuncType):
                function = _PROVIDED.get((interface, name, _shapes(exported)))
                if function is not None:
                    self._add(instance, name, function)
            elif isinstance(exported, ResourceType) and (interface, name) in _RESOURCES:
                instance.add_resource(name, ResourceType.host(_RESOURCES[interface, name]), lambda *_: None)

    def _add(self, instance: LinkerInstance, name: str, function: Function) -> None:
        host = self._host

        @ffi.wasmtime_component_func_callback_t  # type: ignore[untyped-decorator]
        def callback(_data: Any, context: Any, _type: Any, args: Any, count: int, results: Any, _results: int) -> int:
            try:
                charge_call(context)
                charge_bytes(context, sum(_length(args[index]) for index in range(count)))
                function(host, context, args, results)
                _end_borrows(context, args, count)
            except CallError as error:
                host.failure = error
            except MismatchError as error:
                host.failure = CallError("input-limit", f"what {name} brings does not fit: {error}", "requestor")
            except Exception as error:  # noqa: BLE001 - nothing may unwind into the engine
                host.failure = CallError("host", f"the import {name} failed: {error!r}", "runner")
            else:
                return 0
            return ctypes.cast(ffi.wasmtime_error_new(b"host function"), ctypes.c_void_p).value or 0

        self._callbacks.append(callback)
        encoded = name.encode()
        error = ffi.wasmtime_component_linker_instance_add_func(
            instance.ptr(), encoded, len(encoded), callback, None, _NO_FINALIZER
        )
        if error:
            raise error_failure(error)


def _length(slot: Any) -> int:
    if slot.kind == kind("string"):
        return int(slot.of.string.size)
    return int(slot.of.list.size) if slot.kind == kind("list") else 0


def _end_borrows(context: Any, args: Any, count: int) -> None:
    for index in range(count):
        if args[index].kind == kind("resource"):
            error = ffi.wasmtime_component_resource_any_drop(context, args[index].of.resource)
            if error:
                raise error_failure(error)


def _shapes(function: FuncType) -> tuple[str, ...]:
    return (*(_shape(part) for _, part in function.params), _shape(function.result))


def _shape(part: Any) -> str:
    name = "none" if part is None else type(part).__name__.removesuffix("Type").lower()
    return f"list<{_shape(part.element)}>" if name == "list" else name


def _get_by_text(host: Host, context: Any, args: Any, results: Any) -> None:
    Bytes().lower(host.read_for_guest(context, String().lift(args[0])), results[0], Budget())


def _get_by_bytes(host: Host, context: Any, args: Any, results: Any) -> None:
    Bytes().lower(host.read_for_guest(context, Bytes().lift(args[0])), results[0], Budget())


def _log(_host: Host, _context: Any, _args: Any, _results: Any) -> None:
    return None


def _empty_list(_host: Host, _context: Any, _args: Any, results: Any) -> None:
    ffi.wasmtime_component_vallist_new_empty(byref(results[0].of.list))
    results[0].kind = kind("list")


def _none(_host: Host, _context: Any, _args: Any, results: Any) -> None:
    results[0].of.option = None
    results[0].kind = kind("option")


def _exit(_host: Host, _context: Any, args: Any, _results: Any) -> None:
    status = 0 if args[0].of.result.is_ok else 1
    raise CallError("exit", f"the guest ended itself with status {status}", "guest", cacheable=True, status=status)


def _exit_with_code(_host: Host, _context: Any, args: Any, _results: Any) -> None:
    status = args[0].of.u8
    raise CallError("exit", f"the guest ended itself with status {status}", "guest", cacheable=True, status=status)


def _stream(_host: Host, context: Any, _args: Any, results: Any) -> None:
    resource = ffi.wasmtime_component_resource_host_new(True, 0, _STREAM)  # noqa: FBT003 - owned
    handle = ctypes.POINTER(ffi.wasmtime_component_resource_any_t)()
    error = ffi.wasmtime_component_resource_host_to_any(context, resource, byref(handle))
    ffi.wasmtime_component_resource_host_delete(resource)
    if error:
        raise error_failure(error)
    results[0].of.resource = handle
    results[0].kind = kind("resource")


def _ok(results: Any, payload: tuple[WitType, int] | None = None) -> None:
    box = None
    if payload is not None:
        inner = _VAL()
        payload[0].lower(payload[1], inner, Budget())
        box = ffi.wasmtime_component_val_new(byref(inner))
    results[0].of.result.val = box
    results[0].of.result.is_ok = True
    results[0].kind = kind("result")


def _check_write(_host: Host, _context: Any, _args: Any, results: Any) -> None:
    _ok(results, (Integer("u64"), _ROOM))


def _write(host: Host, _context: Any, args: Any, results: Any) -> None:
    host.write_stderr(Bytes().lift(args[1]))
    _ok(results)


def _flush(_host: Host, _context: Any, _args: Any, results: Any) -> None:
    _ok(results)


_STREAMS: Final = "wasi:io/streams"
_METHOD: Final = "[method]output-stream."
_FLUSHES: Final = ("borrow", "result")
_WRITES: Final = ("borrow", "list<u8>", "result")
_PROVIDED: Final[dict[tuple[str, str, tuple[str, ...]], Function]] = {
    ("ipvm:host/blocks", "get", ("string", "list<u8>")): _get_by_text,
    ("ipvm:host/blocks", "get", ("list<u8>", "list<u8>")): _get_by_bytes,
    ("wasi:logging/logging", "log", ("enum", "string", "string", "none")): _log,
    ("wasi:cli/environment", "get-environment", ("list<tuple>",)): _empty_list,
    ("wasi:cli/environment", "get-arguments", ("list<string>",)): _empty_list,
    ("wasi:cli/environment", "initial-cwd", ("option",)): _none,
    ("wasi:cli/exit", "exit", ("result", "none")): _exit,
    ("wasi:cli/exit", "exit-with-code", ("u8", "none")): _exit_with_code,
    ("wasi:cli/stderr", "get-stderr", ("own",)): _stream,
    ("wasi:cli/stdout", "get-stdout", ("own",)): _stream,
    (_STREAMS, f"{_METHOD}check-write", _FLUSHES): _check_write,
    (_STREAMS, f"{_METHOD}write", _WRITES): _write,
    (_STREAMS, f"{_METHOD}blocking-write-and-flush", _WRITES): _write,
    (_STREAMS, f"{_METHOD}flush", _FLUSHES): _flush,
    (_STREAMS, f"{_METHOD}blocking-flush", _FLUSHES): _flush,
}
_INTERFACES: Final = frozenset(interface for interface, _, _ in _PROVIDED) | {"wasi:io/error"}
