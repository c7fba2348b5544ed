"""Traps and engine errors in our words: one stable code each, and whose fault it is."""

from __future__ import annotations

import ctypes
import re
from ctypes import byref
from typing import Any, Final

from wasmtime import Trap, TrapCode, WasmtimeError
from wasmtime import _ffi as ffi

from ipvm_queue.wasm import outcome
from ipvm_queue.wasm.outcome import CallError

_GUEST_TRAPS: Final = {
    TrapCode.MEMORY_OUT_OF_BOUNDS.value: "memory-out-of-bounds",
    TrapCode.HEAP_MISALIGNED.value: "heap-misaligned",
    TrapCode.TABLE_OUT_OF_BOUNDS.value: "table-out-of-bounds",
    TrapCode.INDIRECT_CALL_TO_NULL.value: "indirect-call-to-null",
    TrapCode.BAD_SIGNATURE.value: "bad-signature",
    TrapCode.INTEGER_OVERFLOW.value: "integer-overflow",
    TrapCode.INTEGER_DIVISION_BY_ZERO.value: "integer-division-by-zero",
    TrapCode.BAD_CONVERSION_TO_INTEGER.value: "bad-conversion-to-integer",
    TrapCode.UNREACHABLE.value: "unreachable",
}
_TRAPS: Final = _GUEST_TRAPS | {
    TrapCode.STACK_OVERFLOW.value: "stack-overflow",
    TrapCode.INTERRUPT.value: "time-limit",
    TrapCode.OUT_OF_FUEL.value: "out-of-gas",
}
_UNMETERED: Final = frozenset(  # signals and interrupts: what a function has burnt since its last call is lost
    (
        "memory-out-of-bounds",
        "heap-misaligned",
        "table-out-of-bounds",
        "integer-overflow",
        "integer-division-by-zero",
        "bad-conversion-to-integer",
        "time-limit",
        "trap",
        "host",
    )
)
_WORDS: Final = {  # a component's trap has no number, only these words; what quotes a name of the guest's comes first
    "has not been defined": "forbidden-import",
    "unknown import": "forbidden-import",
    "all fuel consumed": "out-of-gas",
    "wasm trap: interrupt": "time-limit",
    "call stack exhausted": "stack-overflow",
    "out of bounds memory access": "memory-out-of-bounds",
    "undefined element: out of bounds table access": "table-out-of-bounds",
    "uninitialized element": "indirect-call-to-null",
    "indirect call type mismatch": "bad-signature",
    "integer overflow": "integer-overflow",
    "integer divide by zero": "integer-division-by-zero",
    "invalid conversion to integer": "bad-conversion-to-integer",
    "wasm `unreachable` instruction executed": "unreachable",
    "types incompatible": "invalid-module",
    "utf-8 sequence": "bad-result",
    "out of range for `char`": "bad-result",
    "discriminant": "bad-result",
    "out of bounds of memory": "bad-pointer",
    "realloc return": "bad-pointer",
    "pointer not aligned": "bad-pointer",
    "memory minimum size": "memory-limit",
    "memory count too high": "instance-limit",
    "table minimum size": "table-limit",
    "table count too high": "table-limit",
    "instance count too high": "instance-limit",
    "too much data is being copied": "output-limit",
    "async-lifted export": "unsupported-type",
    "declared `async func`": "unsupported-type",
    "Cannot allocate memory": "host",
}
_REQUESTOR: Final = frozenset(("out-of-gas", "time-limit", "memory-limit"))
_SENTENCES: Final = {
    "out-of-gas": "the call used up its gas",
    "time-limit": "the call ran longer than its time limit",
    "stack-overflow": "the call nested too deep for its stack",
    "memory-limit": "the module wants more memory than its limit",
    "table-limit": "the module wants larger or more tables than are allowed",
    "instance-limit": "the module holds more memories or instances than are allowed: "
    f"a core module {outcome.CORE_MEMORIES} memory, a component {outcome.COMPONENT_MEMORIES} memories and "
    f"{outcome.COMPONENT_INSTANCES} instances",
    "unsupported-type": "the component's function, or one that it imports, is async; those are not called here",
    "output-limit": "the result holds too much data",
}
_GUEST_CODES: Final = frozenset((*_GUEST_TRAPS.values(), "bad-result", "bad-pointer"))
_NUMBERING: Final = re.compile(r"^\d+: ")


def trap_failure(trap: Any) -> CallError:
    """Return the failure for a `wasm_trap_t*`, and free it."""
    number = ctypes.c_uint8()
    code = _TRAPS.get(number.value) if ffi.wasmtime_trap_code(trap, byref(number)) else None
    text = ffi.wasm_byte_vec_t()
    ffi.wasm_trap_message(trap, byref(text))
    message = _taken(text)
    ffi.wasm_trap_delete(trap)
    return _failure(code, message)


def error_failure(error: Any) -> CallError:
    """Return the failure for a `wasmtime_error_t*`, and free it."""
    text = ffi.wasm_byte_vec_t()
    ffi.wasmtime_error_message(error, byref(text))
    message = _taken(text)
    ffi.wasmtime_error_delete(error)
    return _failure(None, message)


def failure_of(error: WasmtimeError | Trap) -> CallError:
    """Return the failure for what wasmtime-py's own objects raise."""
    if isinstance(error, Trap):
        return _failure(_TRAPS.get(error.trap_code.value) if error.trap_code else None, error.message)
    return _failure(None, str(error))


def _taken(text: Any) -> str:
    message = ctypes.string_at(text.data, text.size).rstrip(b"\0").decode(errors="replace")
    ffi.wasm_byte_vec_delete(byref(text))
    return message


def _failure(code: str | None, message: str) -> CallError:
    message = _last_cause(message)
    if code is None:
        code = next((code for words, code in _WORDS.items() if words in message), "trap")
    fault: outcome.Fault = "runner" if code == "host" else "requestor" if code in _REQUESTOR else "guest"
    failure = CallError(
        code, _SENTENCES.get(code, message.removeprefix("wasm trap: ")), fault, cacheable=code in _GUEST_CODES
    )
    failure.metered = code not in _UNMETERED
    return failure


def _last_cause(message: str) -> str:
    """Return the line that the engine ends with: the frames before it hold names that the guest chose."""
    lines = [line.strip() for line in message.splitlines() if line.strip()]
    return _NUMBERING.sub("", lines[-1]) if lines else "the module trapped"


def gas_exhausted() -> CallError:
    """Return the failure of a call whose host work cost more gas than it had."""
    return CallError("out-of-gas", _SENTENCES["out-of-gas"], "requestor")
