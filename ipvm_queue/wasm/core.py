"""Calls into core modules: numbers by position, or DAG-CBOR in linear memory (the bytes ABI).

The bytes ABI is chosen when the module exports `memory`, `ipvm_alloc(i32) -> i32` and the function is
`(ptr: i32, len: i32) -> i64`. The host writes the DAG-CBOR of the argument list where `ipvm_alloc` says, calls, and
reads DAG-CBOR of the result at `ptr << 32 | len`.

A module that exports `_initialize()` has it called first: so a WASI reactor's constructors run.

Signatures come from our own reading of the module, which the engine has validated since.
"""

from __future__ import annotations

import ctypes
from ctypes import byref
from math import isfinite
from typing import TYPE_CHECKING, Any, Final, Protocol

import wasmtime
from wasmtime import _ffi as ffi
from wasmtime._ffi import dll

from ipvm_queue.errors import CodecError, LimitError, ModuleError
from ipvm_queue.ipld import count_items, decode, encode, explain
from ipvm_queue.wasm import core_host
from ipvm_queue.wasm.core_format import Signature
from ipvm_queue.wasm.faults import error_failure, trap_failure
from ipvm_queue.wasm.outcome import MAX_OUTPUT, MAX_VALUES, CallError
from ipvm_queue.wasm.scalars import MismatchError, core_argument, shortest_f32

if TYPE_CHECKING:
    from ipvm_queue.ipld import Value
    from ipvm_queue.wasm.host import Host
    from ipvm_queue.wasm.module import ModuleInfo
    from ipvm_queue.wasm.store import Store

_U32: Final = 0xFFFFFFFF
_INITIALIZE: Final = "_initialize"
_NOTHING: Final = Signature((), ())
_KINDS: Final = {name: getattr(ffi, f"WASMTIME_{name.upper()}").value for name in ("i32", "i64", "f32", "f64")}
_VAL: Final = ffi.wasmtime_val_t
_TRAP: Final = ctypes.POINTER(ffi.wasm_trap_t)


class CoreGuest:
    """A compiled core module, with what calling it needs found out once."""

    component: Final = False

    def __init__(self, engine: wasmtime.Engine, module: wasmtime.Module, info: ModuleInfo, host: Host) -> None:
        self._module = module
        self._info = info
        self._entries: dict[str, _Entry] = {}
        self._linker = core_host.link(engine, self._module, info.imports, host) if info.imports else None

    def call(self, store: Store, func: str, params: list[Value]) -> dict[str, Value]:
        """Run one export in a fresh instance and return its result as `{"ok": value}`; raises `CallError`."""
        entry = self._entries.get(func)
        if entry is None:
            entry = self._entries[func] = self._find(func)
        args = entry.lower(params)
        instance = _Instance(store.context, self._module, self._linker)
        if self._info.functions.get(_INITIALIZE) == _NOTHING and func != _INITIALIZE:
            instance.call(_INITIALIZE.encode(), (_VAL * 0)(), (_VAL * 0)())
        return {"ok": entry.call(instance, args)}

    def _find(self, func: str) -> _Entry:
        try:
            export = self._info.find(func)
        except ModuleError as error:
            raise CallError("missing-export", error.message, "requestor", **error.fields) from error
        signature = self._info.functions[export]
        assert signature is not None  # noqa: S101 - a core export always has one
        return _BytesEntry(export) if self._info.uses_bytes(export) else _ScalarEntry(export, signature)


class _Entry(Protocol):
    def lower(self, params: list[Value]) -> Any: ...

    def call(self, instance: _Instance, args: Any) -> Value: ...


class _Instance:
    __slots__ = ("_instance", "context")

    def __init__(self, context: Any, module: wasmtime.Module, linker: wasmtime.Linker | None) -> None:
        self.context = context
        self._instance = ffi.wasmtime_instance_t()
        trap = _TRAP()
        into = byref(self._instance)
        if linker is None:
            error = dll.wasmtime_instance_new(context, module.ptr(), None, 0, into, byref(trap))
        else:
            error = dll.wasmtime_linker_instantiate(linker.ptr(), context, module.ptr(), into, byref(trap))
        _raise(error, trap)

    def export(self, name: bytes) -> Any:
        item = ffi.wasmtime_extern_t()
        dll.wasmtime_instance_export_get(self.context, byref(self._instance), name, len(name), byref(item))
        return item.of

    def call(self, name: bytes, args: Any, results: Any) -> None:
        trap = _TRAP()
        function = byref(self.export(name).func)
        error = dll.wasmtime_func_call(self.context, function, args, len(args), results, len(results), byref(trap))
        _raise(error, trap)


def _raise(error: Any, trap: Any) -> None:
    if error:
        raise error_failure(error)
    if trap:
        raise trap_failure(trap)


class _ScalarEntry:
    def __init__(self, name: str, signature: Signature) -> None:
        self._name = name.encode()
        self._shown = f"{name}{signature}"
        self._params = signature.params
        self._results = signature.results
        self._args_type = _VAL * len(signature.params)
        self._results_type = _VAL * len(signature.results)

    def lower(self, params: list[Value]) -> Any:
        if len(params) != len(self._params):
            raise CallError(
                "arity", f"{self._shown} takes {len(self._params)} arguments, got {len(params)}", "requestor"
            )
        args = self._args_type()
        for index, kind in enumerate(self._params):
            try:
                number = core_argument(params[index], kind)
            except MismatchError as error:
                raise CallError("argument", f"argument {index + 1} of {self._shown}: {error}", "requestor") from error
            arg = args[index]
            arg.kind = _KINDS[kind]
            setattr(arg.of, kind, number)
        return args

    def call(self, instance: _Instance, args: Any) -> Value:
        results = self._results_type()
        instance.call(self._name, args, results)
        values = [_result(results[index].of, kind) for index, kind in enumerate(self._results)]
        if len(values) == 1:
            return values[0]
        return values or None


def _result(union: Any, kind: str) -> int | float:
    value: int | float = getattr(union, kind)
    if kind[0] == "f":
        if not isfinite(value):
            raise CallError("not-representable", f"the result {value} has no IPLD form", "guest", cacheable=True)
        return shortest_f32(value) if kind == "f32" else value
    return value


class _BytesEntry:
    def __init__(self, name: str) -> None:
        self._name = name.encode()

    def lower(self, params: list[Value]) -> bytes:
        try:
            return encode(params)
        except CodecError as error:
            raise CallError("argument", f"the arguments are not IPLD: {error.message}", "requestor") from error

    def call(self, instance: _Instance, args: bytes) -> Value:
        pointer = _call_i32(instance, b"ipvm_alloc", len(args))
        memory = wasmtime.Memory._from_raw(instance.export(b"memory").memory)  # noqa: SLF001
        caller = _Context(instance.context)
        ctypes.memmove(core_host.address(caller, memory, pointer, len(args)), args, len(args))
        values = (_VAL * 2)()
        values[0].of.i32, values[1].of.i32 = pointer, len(args)
        results = (_VAL * 1)()
        instance.call(self._name, values, results)
        packed = results[0].of.i64
        length = packed & _U32
        if length > MAX_OUTPUT:
            raise CallError("output-limit", f"the result has {length} bytes, at most {MAX_OUTPUT} are taken", "guest")
        data = ctypes.string_at(core_host.address(caller, memory, packed >> 32, length), length)
        if length > MAX_VALUES:  # each has one byte at least
            try:
                count_items(data, MAX_VALUES)
            except LimitError as error:
                raise CallError("output-limit", f"the result has {error.message}", "guest") from error
        try:
            return decode(data)
        except CodecError as error:
            why = (
                error.message if isinstance(error, LimitError) else f"not DAG-CBOR: {explain(data) or 'not canonical'}"
            )
            raise CallError("bad-result", f"the result is {why}", "guest", cacheable=True) from error


class _Context:
    """The one method that wasmtime-py's objects ask of a store."""

    __slots__ = ("_pointer",)

    def __init__(self, pointer: Any) -> None:
        self._pointer = pointer

    def _context(self) -> Any:
        return self._pointer


def _call_i32(instance: _Instance, name: bytes, number: int) -> int:
    args = (_VAL * 1)()
    args[0].of.i32 = number
    results = (_VAL * 1)()
    instance.call(name, args, results)
    value: int = results[0].of.i32
    return value
