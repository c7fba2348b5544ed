"""WIT types made of others. Each writes its kind before it fills its parts, so what is half filled can be freed."""

from __future__ import annotations

import ctypes
from ctypes import byref
from typing import TYPE_CHECKING, Any, Final

from wasmtime import _ffi as ffi

from ipvm_queue.wasm.names import kebab
from ipvm_queue.wasm.scalars import MismatchError, shown
from ipvm_queue.wasm.wit import Budget, LiftError, WitType, kind, new_name, read_name

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ipvm_queue.ipld import Value

_VAL: Final = ffi.wasmtime_component_val_t
_SIZE: Final = ctypes.sizeof(_VAL)
_PAYLOAD: Final = _VAL.of.offset
_LIST: Final = kind("list")
_TUPLE: Final = kind("tuple")
_RECORD: Final = kind("record")
_VARIANT: Final = kind("variant")
_OPTION: Final = kind("option")
_RESULT: Final = kind("result")
_U8: Final = bytes([kind("u8")])
_PAIR: Final = 2


def _allocate(vector: Any, count: int, new: Callable[[Any, int], None], size: int) -> None:
    new(byref(vector), count)
    if count:
        ctypes.memset(vector.data, 0, count * size)


def _allocate_list(slot: Any, count: int) -> Any:
    _allocate(slot.of.list, count, ffi.wasmtime_component_vallist_new_uninit, _SIZE)
    slot.kind = _LIST
    return slot.of.list.data


def _box(payload: WitType, value: Value, budget: Budget) -> Any:
    budget.spend(1)
    inner = _VAL()
    try:
        payload.lower(value, inner, budget)
    except MismatchError:
        ffi.wasmtime_component_val_delete(byref(inner))
        raise
    return ffi.wasmtime_component_val_new(byref(inner))


class Bytes:
    """`list<u8>`: bytes, or a list of integers; always bytes on the way back.

    The C API holds a value of 32 bytes for each byte. Kinds and payloads are written and read as strided copies, which
    is hundreds of times faster than one by one.
    """

    name = "list<u8>"
    depth = 0

    def lower(self, value: Value, slot: Any, budget: Budget) -> None:
        """Write `value` into `slot`."""
        if type(value) is list:
            if not all(type(item) is int and 0 <= item < 256 for item in value):  # noqa: PLR2004
                raise MismatchError("list<u8> wants bytes or integers from 0 to 255")
            value = bytes(value)
        if type(value) is not bytes:
            raise MismatchError(f"list<u8> wants bytes, got {shown(value)}")
        budget.spend(len(value))
        vector = slot.of.list
        ffi.wasmtime_component_vallist_new_uninit(byref(vector), len(value))
        if value:
            flat = _flat(vector.data, len(value))
            flat[::_SIZE] = _U8 * len(value)
            flat[_PAYLOAD::_SIZE] = value
        slot.kind = _LIST

    def lift(self, slot: Any) -> bytes:
        """Return the bytes."""
        vector = slot.of.list
        return _flat(vector.data, vector.size)[_PAYLOAD::_SIZE].tobytes() if vector.size else b""


def _flat(data: Any, count: int) -> memoryview:
    address = ctypes.addressof(data.contents)
    return memoryview((ctypes.c_ubyte * (count * _SIZE)).from_address(address)).cast("B")


class List:
    """`list<T>`: a list."""

    def __init__(self, element: WitType) -> None:
        self.name = f"list<{element.name}>"
        self.depth = element.depth + 1
        self._element = element

    def lower(self, value: Value, slot: Any, budget: Budget) -> None:
        """Write `value` into `slot`."""
        if type(value) is not list:
            raise MismatchError(f"{self.name} wants a list, got {shown(value)}")
        budget.spend(len(value))
        _lower_each([self._element] * len(value), value, _allocate_list(slot, len(value)), budget)

    def lift(self, slot: Any) -> Value:
        """Return the list."""
        vector = slot.of.list
        data = vector.data
        return [self._element.lift(data[index]) for index in range(vector.size)]


def _lower_each(types: Sequence[WitType], values: list[Value], data: Any, budget: Budget) -> None:
    for index, (part, value) in enumerate(zip(types, values, strict=True)):
        try:
            part.lower(value, data[index], budget)
        except MismatchError as error:
            raise MismatchError(f"[{index}]: {error}") from error


class Pairs(List):
    """`list<tuple<string, V>>`: a map (or a list of pairs); a map on the way back, so no key may come twice."""

    def __init__(self, pair: Tuple) -> None:
        super().__init__(pair)
        self.depth = pair.depth

    def lower(self, value: Value, slot: Any, budget: Budget) -> None:
        """Write `value` into `slot`."""
        if type(value) is dict:
            value = [[key, item] for key, item in value.items()]
        super().lower(value, slot, budget)

    def lift(self, slot: Any) -> dict[str, Value]:
        """Return the map."""
        pairs = super().lift(slot)
        found = dict(pairs)
        if len(found) < len(pairs):
            raise LiftError("a list of pairs that holds a key twice is no map")
        return found


class Tuple:
    """`tuple<…>`: a list of exactly that length."""

    def __init__(self, elements: list[WitType]) -> None:
        self.name = f"tuple<{', '.join(element.name for element in elements)}>"
        self.depth = 1 + max((element.depth for element in elements), default=0)
        self.elements = elements

    def lower(self, value: Value, slot: Any, budget: Budget) -> None:
        """Write `value` into `slot`."""
        if type(value) is not list or len(value) != len(self.elements):
            raise MismatchError(f"{self.name} wants a list of {len(self.elements)}, got {shown(value)}")
        budget.spend(len(value))
        _allocate(slot.of.tuple, len(value), ffi.wasmtime_component_valtuple_new_uninit, _SIZE)
        slot.kind = _TUPLE
        _lower_each(self.elements, value, slot.of.tuple.data, budget)

    def lift(self, slot: Any) -> list[Value]:
        """Return the list."""
        data = slot.of.tuple.data
        return [element.lift(data[index]) for index, element in enumerate(self.elements)]


class Record:
    """`record`: a map with every field, in its own name or another case of it; an `option` field may be left out."""

    def __init__(self, fields: list[tuple[str, WitType]]) -> None:
        self.name = f"record {{{', '.join(f'{name}: {part.name}' for name, part in fields)}}}"
        self.depth = 1 + max((part.depth for _, part in fields), default=0)
        self.fields = dict(fields)
        self._encoded = [(name, name.encode(), part) for name, part in fields]

    def lower(self, value: Value, slot: Any, budget: Budget) -> None:
        """Write `value` into `slot`."""
        if type(value) is not dict:
            raise MismatchError(f"{self.name} wants a map, got {shown(value)}")
        given = self._by_field(value)
        budget.spend(len(self.fields))
        record = slot.of.record
        _allocate(record, len(self.fields), ffi.wasmtime_component_valrecord_new_uninit, _ENTRY_SIZE)
        for index, (_, encoded, _) in enumerate(self._encoded):
            record.data[index].name = new_name(encoded)
        slot.kind = _RECORD
        for index, (name, _, part) in enumerate(self._encoded):
            try:
                part.lower(given.get(name), record.data[index].val, budget)
            except MismatchError as error:
                raise MismatchError(f"{name}: {error}") from error

    def _by_field(self, value: dict[str, Value]) -> dict[str, Value]:
        given: dict[str, Value] = {}
        for key, item in value.items():
            name = key if key in self.fields else kebab(key)
            if name not in self.fields:
                raise MismatchError(f"{self.name} has no field {shown(key)}")
            if name in given:
                raise MismatchError(f"the field {name} is there twice")
            given[name] = item
        missing = [name for name, part in self.fields.items() if name not in given and not isinstance(part, Option)]
        if missing:
            raise MismatchError(f"{self.name} wants the fields {', '.join(missing)}")
        return given

    def lift(self, slot: Any) -> dict[str, Value]:
        """Return the map."""
        data = slot.of.record.data
        return {name: part.lift(data[index].val) for index, (name, part) in enumerate(self.fields.items())}


_ENTRY_SIZE: Final = ctypes.sizeof(ffi.wasmtime_component_valrecord_entry_t)


class Variant:
    """`variant`: a map with one key, `{case: payload}`; null where the case has none."""

    def __init__(self, cases: list[tuple[str, WitType | None]]) -> None:
        self.name = f"variant {{{', '.join(name for name, _ in cases)}}}"
        self.depth = 1 + max((part.depth for _, part in cases if part), default=0)
        self._cases = dict(cases)

    def lower(self, value: Value, slot: Any, budget: Budget) -> None:
        """Write `value` into `slot`."""
        if type(value) is not dict or len(value) != 1:
            raise MismatchError(f"{self.name} wants a map with one key, got {shown(value)}")
        ((case, payload),) = value.items()
        if case not in self._cases:
            raise MismatchError(f"{self.name} has no case {shown(case)}")
        part = self._cases[case]
        if part is None and payload is not None:
            raise MismatchError(f"the case {case} holds nothing, got {shown(payload)}")
        box = None if part is None else _box(part, payload, budget)
        slot.of.variant.discriminant = new_name(case.encode())
        slot.of.variant.val = box
        slot.kind = _VARIANT

    def lift(self, slot: Any) -> dict[str, Value]:
        """Return the map."""
        case = read_name(slot.of.variant.discriminant)
        part = self._cases[case]
        return {case: None if part is None else part.lift(slot.of.variant.val.contents)}


class Option:
    """`option<T>`: null, or the payload."""

    def __init__(self, payload: WitType) -> None:
        self.name = f"option<{payload.name}>"
        self.depth = payload.depth
        self._payload = payload

    def lower(self, value: Value, slot: Any, budget: Budget) -> None:
        """Write `value` into `slot`."""
        slot.of.option = None if value is None else _box(self._payload, value, budget)
        slot.kind = _OPTION

    def lift(self, slot: Any) -> Value:
        """Return null or the payload."""
        return self._payload.lift(slot.of.option.contents) if slot.of.option else None


class Result:
    """`result<T, E>` inside a value: `[ok, null]` or `[null, error]`, with 1 for a side that holds nothing."""

    def __init__(self, ok: WitType | None, error: WitType | None) -> None:
        self.name = f"result<{ok.name if ok else '_'}, {error.name if error else '_'}>"
        self.depth = 1 + max(ok.depth if ok else 0, error.depth if error else 0)
        self.sides = (ok, error)

    def lower(self, value: Value, slot: Any, budget: Budget) -> None:
        """Write `value` into `slot`."""
        if type(value) is not list or len(value) != _PAIR or (value[0] is None) == (value[1] is None):
            raise MismatchError(f"{self.name} wants [ok, null] or [null, error], got {shown(value)}")
        side = 0 if value[1] is None else 1
        part = self.sides[side]
        if part is None and (type(value[side]) is not int or value[side] != 1):
            raise MismatchError(f"{self.name} holds nothing on that side: it wants 1, got {shown(value[side])}")
        slot.of.result.val = None if part is None else _box(part, value[side], budget)
        slot.of.result.is_ok = side == 0
        slot.kind = _RESULT

    def lift(self, slot: Any) -> list[Value]:
        """Return the list of two."""
        is_ok, value = self.open(slot)
        value = 1 if self.sides[0 if is_ok else 1] is None else value
        return [value, None] if is_ok else [None, value]

    def open(self, slot: Any) -> tuple[bool, Value]:
        """Return whether it is ok, and the payload."""
        result = slot.of.result
        part = self.sides[0 if result.is_ok else 1]
        return bool(result.is_ok), None if part is None else part.lift(result.val.contents)
