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

MAX_PARTS: Final = 10_000
_PART_TEXT: Final = 64  # characters of names that count as a part
_INTEGERS: Final = ("U8", "S8", "U16", "S16", "U32", "S32", "U64", "S64")


class UnsupportedTypeError(Exception):
    """Raised for a type whose values cannot cross."""


class Reflection:
    """Reads the types of one function; raises `UnsupportedTypeError`.

    Types may share parts, so that a small component can describe a huge one: what is read has a limit.
    """

    def __init__(self) -> None:
        self._left = MAX_PARTS

    def of(self, kind: Any) -> WitType:
        """Return our form of a reported type."""
        self._spend(1)
        make = _MAKERS.get(type(kind).__name__)
        if make is None:
            raise UnsupportedTypeError(f"{type(kind).__name__} (a resource, stream, future, …) has no IPLD form")
        made = make(self, kind)
        if made.depth > MAX_DEPTH - 4:
            raise UnsupportedTypeError(f"the type is nested {made.depth} deep")
        return made

    def _spend(self, parts: int) -> None:
        self._left -= parts
        if self._left < 0:
            raise UnsupportedTypeError(f"its types have more than {MAX_PARTS} parts")

    def names(self, names: list[str]) -> list[str]:
        """Return the names of cases, flags or fields, each of which is a part, and a long one several."""
        self._spend(sum(1 + len(name) // _PART_TEXT for name in names))
        return names

    def of_return(self, kind: Any) -> WitType | None:
        """Return our form of a function's result; a `result` here becomes the outcome, so its sides may be options."""
        if isinstance(kind, reported.ResultType):
            return Result(self.or_none(kind.ok), self.or_none(kind.err))
        return self.or_none(kind)

    def or_none(self, kind: Any) -> WitType | None:
        """Return our form of a reported type that may be absent."""
        return None if kind is None else self.of(kind)

    def named(self, fields: list[tuple[str, Any]]) -> list[tuple[str, WitType]]:
        """Return our form of a record's fields."""
        self.names([name for name, _ in fields])
        return [(name, self.of(part)) for name, part in fields]

    def cases(self, cases: list[tuple[str, Any]]) -> list[tuple[str, WitType | None]]:
        """Return our form of a variant's cases."""
        self.names([name for name, _ in cases])
        return [(name, self.or_none(part)) for name, part in cases]

    def list(self, kind: Any) -> WitType:
        """Return bytes, a map or a list."""
        element = self.of(kind.element)
        if element.name == "u8":
            return Bytes()
        if isinstance(element, Tuple) and len(element.elements) == 2 and element.elements[0].name == "string":  # noqa: PLR2004
            return Pairs(element)
        return List(element)

    def option(self, kind: Any) -> WitType:
        """Return an option whose payload cannot itself be null."""
        payload = self.of(kind.payload)
        if isinstance(payload, Option):
            raise UnsupportedTypeError(f"option<{payload.name}> cannot tell none from some(none) in IPLD")
        return Option(payload)

    def result(self, kind: Any) -> WitType:
        """Return a result neither side of which can be null."""
        made = Result(self.or_none(kind.ok), self.or_none(kind.err))
        if any(isinstance(side, Option) for side in made.sides):
            raise UnsupportedTypeError(f"{made.name} cannot tell [null, null] apart in IPLD")
        return made


_MAKERS: Final[dict[str, Callable[[Reflection, Any], WitType]]] = {
    "Bool": lambda _, __: wit.Bool(),
    **{name: lambda _, __, name=name: wit.Integer(name.lower()) for name in _INTEGERS},  # type: ignore[misc]
    "F32": lambda _, __: wit.Float("f32"),
    "F64": lambda _, __: wit.Float("f64"),
    "Char": lambda _, __: wit.Char(),
    "String": lambda _, __: wit.String(),
    "EnumType": lambda types, kind: wit.Enum(types.names(kind.names)),
    "FlagsType": lambda types, kind: wit.Flags(types.names(kind.names)),
    "ListType": Reflection.list,
    "TupleType": lambda types, kind: Tuple([types.of(element) for element in kind.elements]),
    "RecordType": lambda types, kind: Record(types.named(kind.fields)),
    "VariantType": lambda types, kind: Variant(types.cases(kind.cases)),
    "OptionType": Reflection.option,
    "ResultType": Reflection.result,
}
