"""WIT types that hold one thing: how an IPLD value becomes one, and back.

A type lowers a value into a slot (a zeroed `wasmtime_component_val_t`) and lifts the value of a slot. Whatever a
slot holds at any moment can be freed: zero is `false`.
"""

from __future__ import annotations

import ctypes
from ctypes import byref
from dataclasses import dataclass
from math import isfinite
from typing import TYPE_CHECKING, Any, Final, Protocol

from wasmtime import _ffi as ffi

from ipvm_queue.ipld import Link
from ipvm_queue.wasm.scalars import MismatchError, floating, integer, shortest_f32, shown

if TYPE_CHECKING:
    from ipvm_queue.ipld import Value

MAX_LOWERED: Final = 4 * 1024 * 1024
"""Elements that the arguments of one call may have in all: the engine keeps some 80 bytes for each, a byte included."""
_SURROGATES: Final = range(0xD800, 0xE000)
_NAMES: Final = (
    "bool u8 s8 u16 s16 u32 s32 u64 s64 f32 f64 char string list record tuple variant enum option result flags resource"
)
_KINDS: Final[dict[str, int]] = {
    name: getattr(ffi, f"WASMTIME_COMPONENT_{name.upper()}").value for name in _NAMES.split()
}


def kind(name: str) -> int:
    """Return the C API's number for a kind of value."""
    return _KINDS[name]


class LiftError(Exception):
    """Raised when a guest's result has no IPLD form."""


class Budget:
    """Counts the elements that are lowered; one for each call."""

    __slots__ = ("left",)

    def __init__(self) -> None:
        self.left = MAX_LOWERED

    def spend(self, count: int) -> None:
        """Take `count`; raises `MismatchError` when there are no more."""
        self.left -= count
        if self.left < 0:
            raise MismatchError(f"the arguments have more than {MAX_LOWERED} elements or bytes in lists")


class WitType(Protocol):
    """A type of the component model as values cross it."""

    @property
    def name(self) -> str:
        """The type as WIT writes it."""

    @property
    def depth(self) -> int:
        """How deep its IPLD form is nested."""

    def lower(self, value: Value, slot: Any, budget: Budget) -> None:
        """Write `value` into `slot`; raises `MismatchError`."""

    def lift(self, slot: Any) -> Value:
        """Return the IPLD value of `slot`; raises `LiftError`."""


def new_name(text: bytes) -> Any:
    """Return a `wasm_name_t` that the engine owns."""
    name = ffi.wasm_byte_vec_t()
    ffi.wasm_byte_vec_new_uninitialized(byref(name), len(text))
    ctypes.memmove(name.data, text, len(text))
    return name


def read_name(name: Any) -> str:
    """Return the text of a `wasm_name_t`."""
    return ctypes.string_at(name.data, name.size).decode()


@dataclass(frozen=True, slots=True)
class Bool:
    """`bool`: a boolean, nothing else."""

    name: str = "bool"
    depth: int = 0

    def lower(self, value: Value, slot: Any, _budget: Budget) -> None:
        """Write `value` into `slot`."""
        if type(value) is not bool:
            raise MismatchError(f"bool wants true or false, got {shown(value)}")
        slot.of.boolean = value

    def lift(self, slot: Any) -> bool:
        """Return the boolean."""
        return bool(slot.of.boolean)


class Integer:
    """`u8` to `s64`: an integer in range."""

    depth = 0

    def __init__(self, name: str) -> None:
        self.name = name
        bits = int(name[1:])
        self._low, self._high = (0, (1 << bits) - 1) if name[0] == "u" else (-(1 << bits - 1), (1 << bits - 1) - 1)
        self._kind = kind(name)

    def lower(self, value: Value, slot: Any, _budget: Budget) -> None:
        """Write `value` into `slot`."""
        setattr(slot.of, self.name, integer(value, self._low, self._high, self.name))
        slot.kind = self._kind

    def lift(self, slot: Any) -> int:
        """Return the integer."""
        value: int = getattr(slot.of, self.name)
        return value


class Float:
    """`f32` and `f64`: a finite number."""

    depth = 0

    def __init__(self, name: str) -> None:
        self.name = name
        self._kind = kind(name)

    def lower(self, value: Value, slot: Any, _budget: Budget) -> None:
        """Write `value` into `slot`."""
        setattr(slot.of, self.name, floating(value, self.name))
        slot.kind = self._kind

    def lift(self, slot: Any) -> float:
        """Return the float; an f32 as the shortest decimal that means it."""
        value: float = getattr(slot.of, self.name)
        if not isfinite(value):
            raise LiftError(f"{value} has no IPLD form")
        return shortest_f32(value) if self.name == "f32" else value


@dataclass(frozen=True, slots=True)
class Char:
    """`char`: a string of one Unicode scalar value. A surrogate would end the process, so it never gets there."""

    name: str = "char"
    depth: int = 0

    def lower(self, value: Value, slot: Any, _budget: Budget) -> None:
        """Write `value` into `slot`."""
        if type(value) is not str or len(value) != 1 or ord(value) in _SURROGATES:
            raise MismatchError(f"char wants a string of one character, got {shown(value)}")
        slot.of.character = ord(value)
        slot.kind = _KINDS["char"]

    def lift(self, slot: Any) -> str:
        """Return the character."""
        return chr(slot.of.character)


@dataclass(frozen=True, slots=True)
class String:
    """`string`: a string, or a link as its CID text."""

    name: str = "string"
    depth: int = 0

    def lower(self, value: Value, slot: Any, _budget: Budget) -> None:
        """Write `value` into `slot`."""
        text = str(value) if isinstance(value, Link) else value
        if type(text) is not str:
            raise MismatchError(f"string wants a string or a link, got {shown(value)}")
        try:
            slot.of.string = new_name(text.encode())
        except UnicodeEncodeError as error:
            raise MismatchError("string cannot hold a lone surrogate") from error
        slot.kind = _KINDS["string"]

    def lift(self, slot: Any) -> str:
        """Return the string, as it is: it never becomes null or a link."""
        return read_name(slot.of.string)


class Enum:
    """`enum`: the name of a case."""

    depth = 0

    def __init__(self, cases: list[str]) -> None:
        self.name = f"enum {{{', '.join(cases)}}}"
        self._cases = frozenset(cases)

    def lower(self, value: Value, slot: Any, _budget: Budget) -> None:
        """Write `value` into `slot`."""
        if type(value) is not str or value not in self._cases:
            raise MismatchError(f"{self.name} wants one of its names, got {shown(value)}")
        slot.of.enumeration = new_name(value.encode())
        slot.kind = _KINDS["enum"]

    def lift(self, slot: Any) -> str:
        """Return the name of the case."""
        return read_name(slot.of.enumeration)


class Flags:
    """`flags`: a list of names; it comes back in the order of declaration."""

    depth = 1

    def __init__(self, names: list[str]) -> None:
        self.name = f"flags {{{', '.join(names)}}}"
        self._names = names

    def lower(self, value: Value, slot: Any, budget: Budget) -> None:
        """Write `value` into `slot`."""
        if type(value) is not list:
            raise MismatchError(f"{self.name} wants a list of its names, got {shown(value)}")
        budget.spend(len(value))
        for name in value:
            if type(name) is not str or name not in self._names:
                raise MismatchError(f"{self.name} has no {shown(name)}")
        if len(set(value)) < len(value):
            raise MismatchError(f"{self.name} wants each name once")
        names = (ffi.wasm_byte_vec_t * len(value))(*[new_name(name.encode()) for name in value])
        ffi.wasmtime_component_valflags_new(byref(slot.of.flags), len(value), names)
        slot.kind = _KINDS["flags"]

    def lift(self, slot: Any) -> list[str]:
        """Return the names that are set."""
        flags = slot.of.flags
        there = {read_name(flags.data[index]) for index in range(flags.size)}
        return [name for name in self._names if name in there]
