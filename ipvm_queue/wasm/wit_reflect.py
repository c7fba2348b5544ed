"""From the types that the engine reports to ours, refusing those whose values have no IPLD form."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from wasmtime.component import _types as reported

from ipvm_queue.ipld import MAX_DEPTH
from ipvm_queue.wasm import wit
from ipvm_queue.wasm.wit_compound import Bytes, List, Option, Pairs, Record, Result, Tuple, Variant

if TYPE_CHECKING:
    from collections.abc import Callable

    from ipvm_queue.wasm.wit import WitType

_INTEGERS: Final = ("U8", "S8", "U16", "S16", "U32", "S32", "U64", "S64")


class UnsupportedTypeError(Exception):
    """Raised for a type whose values cannot cross."""


def reflect(kind: Any) -> WitType:
    """Return our form of a reported type; raises `UnsupportedTypeError`."""
    make = _MAKERS.get(type(kind).__name__)
    if make is None:
        raise UnsupportedTypeError(f"{type(kind).__name__} (a resource, stream, future, …) has no IPLD form")
    made = make(kind)
    if made.depth > MAX_DEPTH - 4:
        raise UnsupportedTypeError(f"the type is nested {made.depth} deep")
    return made


def reflect_or_none(kind: Any) -> WitType | None:
    """Return our form of a reported type that may be absent."""
    return None if kind is None else reflect(kind)


def _list(kind: Any) -> WitType:
    element = reflect(kind.element)
    if element.name == "u8":
        return Bytes()
    if isinstance(element, Tuple) and [part.name for part in element.elements[:1]] == ["string"]:
        return Pairs(element) if len(element.elements) == 2 else List(element)  # noqa: PLR2004
    return List(element)


def _option(kind: Any) -> WitType:
    payload = reflect(kind.payload)
    if isinstance(payload, Option):
        raise UnsupportedTypeError(f"option<{payload.name}> cannot tell none from some(none) in IPLD")
    return Option(payload)


def _result(kind: Any) -> WitType:
    made = Result(reflect_or_none(kind.ok), reflect_or_none(kind.err))
    if any(isinstance(side, Option) for side in made.sides):
        raise UnsupportedTypeError(f"{made.name} cannot tell [null, null] apart in IPLD")
    return made


def reflect_return(kind: Any) -> WitType | None:
    """Return our form of a function's result; a `result` here becomes the outcome, so its sides may be options."""
    if isinstance(kind, reported.ResultType):
        return Result(reflect_or_none(kind.ok), reflect_or_none(kind.err))
    return reflect_or_none(kind)


_MAKERS: Final[dict[str, Callable[[Any], WitType]]] = {
    "Bool": lambda _: wit.Bool(),
    **{name: lambda _, name=name: wit.Integer(name.lower()) for name in _INTEGERS},  # type: ignore[misc]
    "F32": lambda _: wit.Float("f32"),
    "F64": lambda _: wit.Float("f64"),
    "Char": lambda _: wit.Char(),
    "String": lambda _: wit.String(),
    "EnumType": lambda kind: wit.Enum(kind.names),
    "FlagsType": lambda kind: wit.Flags(kind.names),
    "ListType": _list,
    "TupleType": lambda kind: Tuple([reflect(element) for element in kind.elements]),
    "RecordType": lambda kind: Record([(name, reflect(part)) for name, part in kind.fields]),
    "VariantType": lambda kind: Variant([(name, reflect_or_none(part)) for name, part in kind.cases]),
    "OptionType": _option,
    "ResultType": _result,
}
