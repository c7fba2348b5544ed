"""Kinds of values that a field may hold: each reads a value and says the same as JSON Schema.

A `Record` is the one declaration of a map's fields: the readers check documents with it, and `schema` prints it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from itertools import combinations
from typing import TYPE_CHECKING, Any, Final, Protocol

from ipvm_queue.errors import CodecError
from ipvm_queue.ipld import Link, Value
from ipvm_queue.workflow.faults import Faults, Path, kind_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


@dataclass(slots=True)
class Reading:
    """What goes along while one document is read: its faults, and the labels that promises and `on` name."""

    faults: Faults = field(default_factory=Faults)
    promised: list[tuple[str, Path]] = field(default_factory=list)
    followers: list[tuple[str, Path]] = field(default_factory=list)
    origin: Callable[[Path], Path] | None = None  # where a path of a translated document came from


class Reader(Protocol):
    """Checks a value and returns it in the model's form; None after noting a fault."""

    def __call__(self, value: Value, path: Path, reading: Reading, /) -> Any: ...  # noqa: D102


@dataclass(frozen=True, slots=True)
class Shape:
    """One kind of value: how it is read, and its JSON Schema; a shape with a `name` is defined there once."""

    read: Reader
    schema: Mapping[str, Value]
    name: str | None = None

    @property
    def reference(self) -> Mapping[str, Value]:
        """The schema, or a reference to its one definition."""
        return self.schema if self.name is None else {"$ref": f"#/$defs/{self.name}"}


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a record: its shape, what it is for, whether it must be there."""

    shape: Shape
    says: str
    required: bool = False


@dataclass(frozen=True)
class Names:
    """Several names of one field: at most one is given; with `required`, one must be."""

    names: tuple[str, ...]
    required: bool = False

    @cached_property
    def known(self) -> frozenset[str]:
        """The names, for looking up."""
        return frozenset(self.names)


class Record:
    """A map with known fields. Any other field is a fault, named with the closest known one."""

    def __init__(self, name: str, fields: Mapping[str, Field], *synonyms: Names) -> None:
        self.name = name
        self.fields = fields
        self.synonyms = synonyms
        self._readers: dict[str, Reader] = {key: known.shape.read for key, known in fields.items()}
        self._required = tuple(key for key, known in fields.items() if known.required)

    def read(self, value: Value, path: Path, reading: Reading) -> dict[str, Any]:
        """Return the fields of `value` in the model's form; those with faults are None."""
        if type(value) is not dict:
            reading.faults.add("wrong-type", f"{self.name} is a map, this is {kind_of(value)}", path)
            return {}
        known = self._readers
        result = {}
        for key, item in value.items():
            read = known.get(key)
            if read is None:
                self._unknown(key, path, reading)
            else:
                result[key] = read(item, (*path, key), reading)
        for key in self._required:
            if key not in value:
                reading.faults.add("missing-field", f"{self.name} needs the field {key!r}", path)
        for group in self.synonyms:
            common = group.known & value.keys()
            if len(common) > 1:
                given = [key for key in group.names if key in common]
                message = f"{' and '.join(map(repr, given))} are names of one field: give one"
                reading.faults.add("conflict", message, (*path, given[1]), at_key=True)
            elif group.required and not common:
                reading.faults.add("missing-field", f"{self.name} needs the field {group.names[0]!r}", path)
        return result

    def _unknown(self, key: str, path: Path, reading: Reading) -> None:
        hint = reading.faults.suggest(key, self.fields) or f"known are: {', '.join(self.fields)}"
        message = f"{self.name} has no field {key[:80]!r}"
        reading.faults.add("unknown-field", message, (*path, key), hint=hint, at_key=True)

    def shape(self, name: str) -> Shape:
        """Return this record as the shape of a field, defined under `name` in the schema."""
        return Shape(self.read, self.schema, name)

    @property
    def schema(self) -> dict[str, Value]:
        """The JSON Schema of this record."""
        properties = {key: {**known.shape.reference, "description": known.says} for key, known in self.fields.items()}
        schema: dict[str, Value] = {"type": "object", "properties": properties, "additionalProperties": False}
        if self._required:
            schema["required"] = list(self._required)
        rules = [rule for group in self.synonyms for rule in _synonym_rules(group)]
        return {**schema, "allOf": rules} if rules else schema


def _synonym_rules(group: Names) -> list[Value]:
    pairs = [{"not": {"required": list(pair)}} for pair in combinations(group.names, 2)]
    return [*pairs, either(*({"required": [name]} for name in group.names))] if group.required else pairs


def typed(kind: type, words: str, schema: Mapping[str, Value]) -> Shape:
    """Return the shape of values of one Python type."""

    def read(value: Value, path: Path, reading: Reading) -> Any:
        if type(value) is kind:
            return value
        reading.faults.add("wrong-type", f"{path[-1]!r} is {words}, this is {kind_of(value)}", path)
        return None

    return Shape(read, schema)


def either(*options: Mapping[str, Value]) -> dict[str, Value]:
    """Return the JSON Schema of a value that fits one of `options`."""
    return {"anyOf": list(options)}


def nullable(shape: Shape) -> Shape:
    """Return `shape`, or null."""

    def read(value: Value, path: Path, reading: Reading) -> Any:
        return None if value is None else shape.read(value, path, reading)

    return Shape(read, either(shape.schema, {"type": "null"}))


def list_of(shape: Shape) -> Shape:
    """Return the shape of a list whose every item has `shape`; read as a tuple."""

    def read(value: Value, path: Path, reading: Reading) -> tuple[Any, ...]:
        if type(value) is not list:
            reading.faults.add("wrong-type", f"{path[-1]!r} is a list, this is {kind_of(value)}", path)
            return ()
        return tuple(shape.read(item, (*path, index), reading) for index, item in enumerate(value))

    return Shape(read, {"type": "array", "items": shape.schema})


def parse_cid(text: str) -> Link:
    """Read a CID; raises `CodecError` for what is none, long texts at once: other bases take time by the square."""
    if len(text) > _MAX_CID_TEXT:
        raise CodecError(f"not a CID: a text of {len(text)} characters", hint="a CID looks like bafy… or Qm…")
    return Link.parse(text)


def read_link(value: Value, path: Path, reading: Reading) -> Link | None:
    """Read a link, or the text of one; `bad-cid` otherwise."""
    if type(value) is Link:
        return value
    if type(value) is str:
        try:
            return parse_cid(value)
        except CodecError as error:
            reading.faults.add("bad-cid", error.message, path, hint=error.hint)
            return None
    reading.faults.add("wrong-type", f"{path[-1]!r} is a link, this is {kind_of(value)}", path)
    return None


def _read_nonce(value: Value, path: Path, reading: Reading) -> bytes | None:
    if type(value) is bytes:
        return value
    if type(value) is str:
        return value.encode()
    reading.faults.add("wrong-type", f"{path[-1]!r} is bytes or a text, this is {kind_of(value)}", path)
    return None


_MAX_CID_TEXT: Final = 256
LINK_SCHEMA: Final = {"$ref": "#/$defs/link"}
RAW: Final = Shape(lambda value, _path, _reading: value, {})  # for another reader to look at
TEXT: Final = typed(str, "a text", {"type": "string"})
FLAG: Final = typed(bool, "true or false", {"type": "boolean"})
META: Final = typed(dict, "a map", {"type": "object"})
LINK: Final = Shape(read_link, either(LINK_SCHEMA, {"type": "string"}))
NONCE: Final = Shape(_read_nonce, either({"$ref": "#/$defs/bytes"}, {"type": "string"}))


def checked(shape: Shape, test: Callable[[Any], str | None], code: str, **schema: Value) -> Shape:
    """Return `shape` with a further rule: `test` returns what is wrong with a value, or None."""

    def read(value: Value, path: Path, reading: Reading) -> Any:
        found = shape.read(value, path, reading)
        wrong = None if found is None else test(found)
        if wrong is not None:
            reading.faults.add(code, wrong, path)
            return None
        return found

    return Shape(read, {**shape.schema, **schema})
