"""What a component says of itself: the names and kinds of its imports and exports."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from ipvm_queue.errors import ModuleError
from ipvm_queue.wasm.core_format import Import
from ipvm_queue.wasm.sections import Reader, sections

_IMPORTS: Final = 10
_EXPORTS: Final = 11
_SORTS: Final = ("core", "function", "value", "type", "component", "instance")
_FRESH: Final = 1  # the bound of a resource type that is new: no index follows


@dataclass(frozen=True, slots=True)
class ComponentFormat:
    """Imports, and exports by kind: functions at the top, and interfaces (instances) that hold more."""

    imports: tuple[Import, ...]
    functions: tuple[str, ...]
    interfaces: tuple[str, ...]


def read_component(data: bytes) -> ComponentFormat:
    """Read the import and export sections at the top level; raises `ModuleError` for what is malformed."""
    imports: list[Import] = []
    exports: dict[str, str] = {}
    for identity, reader in sections(data):
        if identity == _IMPORTS:
            for _ in range(reader.count("imports")):
                name = _name(reader)
                imports.append(Import("", name, _description(reader)))
        elif identity == _EXPORTS:
            for _ in range(reader.count("exports")):
                name = _name(reader)
                exports[name] = _sort(reader)
                reader.u32()
                if reader.byte():
                    _description(reader)
    return ComponentFormat(
        tuple(imports),
        tuple(name for name, kind in exports.items() if kind == "function"),
        tuple(name for name, kind in exports.items() if kind == "instance"),
    )


def _name(reader: Reader) -> str:
    form = reader.byte()
    name = reader.name()
    if form == 2:  # noqa: PLR2004 - a version suffix follows
        name += reader.name()
    return name


def _sort(reader: Reader) -> str:
    sort = reader.byte()
    if sort >= len(_SORTS):
        raise ModuleError(f"unknown sort {sort} of component export")
    if sort == 0:
        reader.byte()
    return _SORTS[sort]


def _description(reader: Reader) -> str:
    sort = _sort(reader)
    if sort == "value":
        raise ModuleError("the component imports or exports a bare value, which no engine supports yet")
    if sort == "type" and reader.byte() == _FRESH:
        return sort
    reader.u32()
    return sort
