"""A store for one call, with its limits on: gas, time, memories, tables, instances.

Straight on the C API, since wasmtime-py's own objects cost several times what a small call does.
"""

from __future__ import annotations

import ctypes
from ctypes import byref
from typing import TYPE_CHECKING, Any, Final, Self

from wasmtime._ffi import dll  # the functions themselves, as `wasmtime._bindings` declares them

from ipvm_queue.wasm import outcome
from ipvm_queue.wasm.engine import ticks

if TYPE_CHECKING:
    import wasmtime

    from ipvm_queue.wasm.outcome import Limits

MAX_GAS: Final = (1 << 63) - 1
_MAX_MEMORY: Final = 1 << 40
_NO_FINALIZER: Final = ctypes.cast(0, ctypes.CFUNCTYPE(None, ctypes.c_void_p))


class Store:
    """Owns a `wasmtime_store_t`; use it in `with`, and nothing of it afterwards."""

    __slots__ = ("_pointer", "context", "gas")

    def __init__(self, engine: wasmtime.Engine, limits: Limits, *, component: bool) -> None:
        self.gas = max(0, min(limits.gas, MAX_GAS))
        pointer = dll.wasmtime_store_new(engine.ptr(), None, _NO_FINALIZER)
        self._pointer = pointer
        memory = max(0, min(limits.memory, _MAX_MEMORY))
        if component:
            counts = (outcome.COMPONENT_INSTANCES, outcome.COMPONENT_TABLES, outcome.COMPONENT_MEMORIES)
        else:
            counts = (1, outcome.CORE_TABLES, outcome.CORE_MEMORIES)
        dll.wasmtime_store_limiter(pointer, memory, outcome.MAX_TABLE_ELEMENTS, *counts)
        self.context = dll.wasmtime_store_context(pointer)
        dll.wasmtime_context_set_fuel(self.context, self.gas)
        dll.wasmtime_context_set_epoch_deadline(self.context, ticks(limits.time))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        dll.wasmtime_store_delete(self._pointer)

    def gas_used(self) -> int:
        """Return the gas that the call has used so far."""
        return self.gas - gas_left(self.context)


def gas_left(context: Any) -> int:
    """Return the gas that a `wasmtime_context_t*` has left."""
    left = ctypes.c_uint64()
    dll.wasmtime_context_get_fuel(context, byref(left))
    return left.value


def charge(context: Any, gas: int) -> bool:
    """Take `gas` from the store that is running; False, with nothing left in it, if it has not that much."""
    left = gas_left(context)
    dll.wasmtime_context_set_fuel(context, max(0, left - gas))
    return left >= gas
