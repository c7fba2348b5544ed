"""A small part of JSON Schema, for the arguments of effects and for the tables of their configuration.

Understood are `type` (JSON's names, and `bytes` and `link`; one or a list), `enum`, `const`, `anyOf`, `properties`,
`required`, `additionalProperties` (a flag or a schema), `items`, `minLength`, `maxLength` (characters, bytes),
`minItems`, `maxItems`, `minimum`, `maximum`, `pattern` (searched for). `description` and `default` are for readers.
"""

from __future__ import annotations

import re
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Final

from ipvm_queue.ipld import Link

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ipvm_queue.effects.contract import Schema

_TYPES: Final[dict[str, tuple[type, ...]]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "null": (type(None),),
    "array": (list,),
    "object": (dict,),
    "bytes": (bytes,),
    "link": (Link,),
}
_BOUNDS: Final[dict[str, tuple[str, Callable[[Any, Any], bool]]]] = {
    "minimum": ("at least", lambda value, bound: value >= bound),
    "maximum": ("at most", lambda value, bound: value <= bound),
}
_LENGTHS: Final[dict[str, tuple[str, Callable[[int, int], bool]]]] = {
    "minLength": ("at least", lambda length, bound: length >= bound),
    "maxLength": ("at most", lambda length, bound: length <= bound),
    "minItems": ("at least", lambda length, bound: length >= bound),
    "maxItems": ("at most", lambda length, bound: length <= bound),
}


def faults(value: Any, schema: Schema, *, pending: Callable[[Any], bool] = lambda _: False) -> Iterator[str]:
    """Yield what is wrong with a value, each with where it stands (`headers.accept: …`).

    What is `pending` (a promise) is taken for right.
    """
    yield from _faults(value, schema, "", pending)


def _faults(value: Any, schema: Schema, path: str, pending: Callable[[Any], bool]) -> Iterator[str]:
    if pending(value):
        return
    if "anyOf" in schema:
        tried = [list(_faults(value, option, path, pending)) for option in schema["anyOf"]]
        if all(tried):
            reasons = "; or ".join(found[0].removeprefix(_at(path)) for found in tried)
            yield f"{_at(path)}fits none of its forms: {reasons}"
        return
    wrong = _wrong_kind(value, schema) or _wrong_bound(value, schema)
    if wrong is not None:
        yield f"{_at(path)}{wrong}"
    elif isinstance(value, dict):
        yield from _members(value, schema, path, pending)
    elif isinstance(value, list) and "items" in schema:
        for index, item in enumerate(value):
            yield from _faults(item, schema["items"], f"{path}[{index}]", pending)


def _wrong_kind(value: Any, schema: Schema) -> str | None:
    if "type" in schema:
        names = [schema["type"]] if isinstance(schema["type"], str) else schema["type"]
        kinds = {kind for name in names for kind in _TYPES[name]}
        if type(value) not in kinds:
            return f"is {' or '.join(names)}, this is {_kind(value)}"
    if "const" in schema and value != schema["const"]:
        return f"is {schema['const']!r}"
    if "enum" in schema and value not in schema["enum"]:
        return f"is one of {', '.join(map(str, schema['enum']))}"
    return None


def _wrong_bound(value: Any, schema: Schema) -> str | None:
    if type(value) in (int, float):
        for name, (words, holds) in _BOUNDS.items():
            if name in schema and not holds(value, schema[name]):
                return f"is {words} {schema[name]}"
    if type(value) in (str, bytes, list):
        unit = "entries" if type(value) is list else "characters" if type(value) is str else "bytes"
        for name, (words, fits) in _LENGTHS.items():
            if name in schema and not fits(len(value), schema[name]):
                return f"has {words} {schema[name]} {unit}, this has {len(value)}"
    if type(value) is str and "pattern" in schema and re.search(schema["pattern"], value) is None:
        return f"does not look like {schema['pattern']}"
    return None


def _members(value: dict[str, Any], schema: Schema, path: str, pending: Callable[[Any], bool]) -> Iterator[str]:
    known = schema.get("properties", {})
    other = schema.get("additionalProperties", "properties" not in schema)
    for name in schema.get("required", ()):
        if name not in value:
            yield f"{_at(path)}needs {name!r}"
    for name, item in value.items():
        inner = f"{path}.{name[:80]}" if path else name[:80]
        if name in known:
            yield from _faults(item, known[name], inner, pending)
        elif isinstance(other, dict):
            yield from _faults(item, other, inner, pending)
        elif not other:
            close = get_close_matches(name, known, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"known: {', '.join(known) or 'none'}"
            yield f"{_at(path)}has no {name[:80]!r} ({hint})"


def _at(path: str) -> str:
    return f"{path}: " if path else ""


def _kind(value: Any) -> str:
    return next((name for name, kinds in _TYPES.items() if type(value) in kinds), type(value).__name__)
