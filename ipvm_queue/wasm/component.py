"""Calls into components, driven by their own types."""

from __future__ import annotations

from ctypes import byref
from typing import TYPE_CHECKING, Any, Final

import wasmtime
from wasmtime import _ffi as ffi
from wasmtime.component import Component, ComponentInstanceType, FuncType

from ipvm_queue.wasm import component_host, names
from ipvm_queue.wasm.faults import error_failure
from ipvm_queue.wasm.named import bind
from ipvm_queue.wasm.outcome import MAX_OUTPUT, CallError
from ipvm_queue.wasm.scalars import MismatchError
from ipvm_queue.wasm.size import size_of
from ipvm_queue.wasm.wit import Budget, LiftError
from ipvm_queue.wasm.wit_compound import Result
from ipvm_queue.wasm.wit_reflect import Reflection, UnsupportedTypeError

if TYPE_CHECKING:
    from ipvm_queue.ipld import Value
    from ipvm_queue.wasm.host import Host
    from ipvm_queue.wasm.store import Store
    from ipvm_queue.wasm.wit import WitType

_VAL: Final = ffi.wasmtime_component_val_t
_MAX_NAMES: Final = 4_000_000  # characters, of all functions in interfaces with the interfaces' own before each
_PAIR: Final = 64  # characters that a function counts for beside its names


class ComponentGuest:
    """A compiled component, with what calling it needs found out once."""

    component: Final = True

    def __init__(self, engine: wasmtime.Engine, component: Component, host: Host) -> None:
        self._component = component
        self._types = _functions(component, engine)
        self._linker = component_host.ComponentLinker(engine, component, host)
        self._entries: dict[str, _Entry] = {}

    def call(self, store: Store, func: str, params: list[Value]) -> dict[str, Value]:
        """Run one export in a fresh instance and return `{"ok": …}`, or its own `{"error": …}`; raises `CallError`."""
        entry = self._entries.get(func)
        if entry is None:
            entry = self._entries[func] = self._find(func)
        args = entry.lower(params)
        try:
            instance = self._linker.instantiate(store.context)
            return entry.call(store.context, instance, args)
        finally:
            entry.free(args)

    def _find(self, func: str) -> _Entry:
        found = names.matches(func, self._types)
        if len(found) > 1:
            message = f"{func!r} may be any of the exports {', '.join(sorted(found))}"
            raise CallError("ambiguous-export", message, "requestor", exports=names.first(found))
        if not found:
            message = f"the component exports no function {func!r}; {names.listing(self._types)}"
            raise CallError("missing-export", message, "requestor", exports=names.first(self._types))
        try:
            return _Entry(found[0], self._component, self._types[found[0]])
        except UnsupportedTypeError as error:
            raise CallError("unsupported-type", f"{found[0]} cannot be called: {error}", "guest") from error


def _functions(component: Component, engine: wasmtime.Engine) -> dict[str, FuncType]:
    """Return the exported functions by name, those of interfaces too; raises `CallError` for names without end."""
    found: dict[str, FuncType] = {}
    left = _MAX_NAMES
    for name, extern in component.type.exports(engine).items():
        kind = extern.ty
        if isinstance(kind, FuncType):
            found[name] = kind
        elif isinstance(kind, ComponentInstanceType):
            for inner, part in kind.exports(engine).items():
                left -= _PAIR + len(name) + len(inner)
                if left < 0:
                    message = f"the names of its exported functions have more than {_MAX_NAMES} characters"
                    raise CallError("unsupported-type", message, "guest")
                if isinstance(part.ty, FuncType):
                    found[f"{name}#{inner}"] = part.ty
    return found


def _export_index(component: Component, name: str) -> Any:
    index = None
    for part in name.rpartition("#")[::2] if "#" in name else (name,):
        encoded = part.encode()
        index = ffi.wasmtime_component_get_export_index(component.ptr(), index, encoded, len(encoded))
    return index


class _Entry:
    def __init__(self, name: str, component: Component, kind: FuncType) -> None:
        self._name = name
        types = Reflection()
        self._params: list[tuple[str, WitType]] = [(param, types.of(part)) for param, part in kind.params]
        self._result = types.of_return(kind.result)
        self._index = _export_index(component, name)  # freed with the process: a few for each warm component
        self._args_type = _VAL * len(self._params)

    def lower(self, params: list[Value]) -> Any:
        """Return the C arguments, to be freed by `free`; raises `CallError`."""
        params = bind(params, self._params)
        if len(params) != len(self._params):
            message = f"{self} takes {len(self._params)} arguments, got {len(params)}"
            raise CallError("arity", message, "requestor")
        args = self._args_type()
        budget = Budget()
        for index, (name, part) in enumerate(self._params):
            try:
                part.lower(params[index], args[index], budget)
            except MismatchError as error:
                self.free(args)
                code = "input-limit" if budget.left < 0 else "argument"
                raise CallError(code, f"argument {name} of {self._name}: {error}", "requestor") from error
        return args

    def free(self, args: Any) -> None:
        for index in range(len(args)):
            ffi.wasmtime_component_val_delete(byref(args[index]))

    def call(self, context: Any, instance: Any, args: Any) -> dict[str, Value]:
        func = ffi.wasmtime_component_func_t()
        ffi.wasmtime_component_instance_get_func(byref(instance), context, self._index, byref(func))
        count = 0 if self._result is None else 1
        results = (_VAL * count)()
        error = ffi.wasmtime_component_func_call(byref(func), context, args, len(args), results, count)
        if error:
            raise error_failure(error)
        if self._result is None:
            return {"ok": None}
        try:
            out = self._outcome(self._result, results[0])
        except LiftError as error:
            raise CallError("not-representable", f"the result: {error}", "guest", cacheable=True) from error
        finally:
            ffi.wasmtime_component_val_delete(byref(results[0]))
        if size_of(out) > MAX_OUTPUT:
            raise CallError("output-limit", f"the result has more than {MAX_OUTPUT} bytes", "guest")
        return out

    @staticmethod
    def _outcome(kind: WitType, slot: Any) -> dict[str, Value]:
        if isinstance(kind, Result):
            is_ok, value = kind.open(slot)
            return {"ok" if is_ok else "error": value}
        return {"ok": kind.lift(slot)}

    def __str__(self) -> str:
        return f"{self._name}({', '.join(f'{name}: {part.name}' for name, part in self._params)})"
