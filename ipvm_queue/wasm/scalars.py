"""Numbers: IPLD to Wasm with range checks of our own, since wasmtime wraps silently, and back."""

from __future__ import annotations

import ctypes
from math import isfinite
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from ipvm_queue.ipld import Value

F32_MAX: Final = 3.4028234663852886e38
CORE_RANGES: Final = {"i32": (-(1 << 31), (1 << 32) - 1), "i64": (-(1 << 63), (1 << 64) - 1)}


class MismatchError(Exception):
    """Raised when a value does not fit a type; says what is wanted and what came."""


def shown(value: Value) -> str:
    """Return a value in a few words, for messages."""
    if value is None:
        return "null"
    kind = {dict: "map", list: "list", str: "string", bytes: "bytes", bool: "bool"}.get(type(value))
    if kind is None:
        return str(value)[:80]
    text = repr(value)
    return f"the {kind} {text}" if len(text) <= 60 else f"a {kind} of length {len(value)}"  # noqa: PLR2004


def integer(value: Value, low: int, high: int, name: str) -> int:
    """Return `value` as an integer in `low..high`; a float is taken if it is integral, a bool never."""
    kind = type(value)
    if kind is float and isfinite(value) and value.is_integer():
        value = int(value)
    elif kind is not int:
        raise MismatchError(f"{name} wants an integer, got {shown(value)}")
    if not low <= value <= high:
        raise MismatchError(f"{name} holds {low} to {high}, got {shown(value)}")
    return value  # type: ignore[no-any-return]


def floating(value: Value, name: str) -> float:
    """Return `value` as a float that fits `name` (`f32` or `f64`); an integer is converted."""
    kind = type(value)
    if kind is int:
        try:
            value = float(value)
        except OverflowError as error:
            raise MismatchError(f"{name} cannot hold {shown(value)}") from error
    elif kind is not float:
        raise MismatchError(f"{name} wants a number, got {shown(value)}")
    if not isfinite(value) or (name == "f32" and not isfinite(ctypes.c_float(value).value)):
        raise MismatchError(f"{name} cannot hold {shown(value)}")
    return value  # type: ignore[no-any-return]


def core_argument(value: Value, kind: str) -> int | float:
    """Return `value` for a core parameter: integers signed or unsigned, floats by value."""
    if kind not in CORE_RANGES:
        return floating(value, kind)
    low, high = CORE_RANGES[kind]
    return value if type(value) is int and low <= value <= high else integer(value, low, high, kind)


def shortest_f32(number: float) -> float:
    """Return the double that prints as the 32-bit float does: 3883.2, not 3883.199951171875."""
    for digits in (6, 7, 8):
        short = float(f"{number:.{digits}g}")
        if ctypes.c_float(short).value == number:
            return short
    return number
