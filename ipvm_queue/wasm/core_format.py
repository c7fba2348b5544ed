"""What a core module says of itself: imports, exported functions and their signatures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from ipvm_queue.errors import ModuleError
from ipvm_queue.wasm.sections import Reader, sections

_NUMBERS: Final = {0x7F: "i32", 0x7E: "i64", 0x7D: "f32", 0x7C: "f64"}
_SCALARS: Final = frozenset(_NUMBERS.values())
_OTHERS: Final = {0x7B: "v128", 0x70: "funcref", 0x6F: "externref"}
_TYPES: Final = 1
_IMPORTS: Final = 2
_FUNCTIONS: Final = 3
_EXPORTS: Final = 7
_FUNC_FORM: Final = 0x60
_KINDS: Final = ("function", "table", "memory", "global", "tag")


@dataclass(frozen=True, slots=True)
class Signature:
    """The parameter and result types of a core function: i32, i64, f32, f64, v128, funcref, externref."""

    params: tuple[str, ...]
    results: tuple[str, ...]

    @property
    def is_scalar(self) -> bool:
        """Whether only numbers cross."""
        return _SCALARS.issuperset(self.params + self.results)

    def __str__(self) -> str:
        return f"({', '.join(self.params)}) -> ({', '.join(self.results)})"


@dataclass(frozen=True, slots=True)
class Import:
    """Something a module wants from its host; `module` is empty for a component, whose imports have one name."""

    module: str
    name: str
    kind: str


@dataclass(frozen=True, slots=True)
class CoreFormat:
    """Imports in order, exported functions by name, names of the exported memories."""

    imports: tuple[Import, ...]
    functions: dict[str, Signature]
    memories: frozenset[str]


def read_core(data: bytes) -> CoreFormat:
    """Read the sections that name things; raises `ModuleError` for what is malformed or cannot cross to Python.

    An exported or imported function that takes or returns v128 or a reference is refused: the C API of the engine ends
    the process when it is asked about such a type.
    """
    names = _Names()
    readers = {_TYPES: names.read_type, _IMPORTS: names.read_import, _FUNCTIONS: names.read_function}
    readers[_EXPORTS] = names.read_export
    for identity, reader in sections(data):
        if identity in readers:
            for _ in range(reader.count("items in a section")):
                readers[identity](reader)
    return names.resolved()


class _Names:
    def __init__(self) -> None:
        self.types: list[Signature] = []
        self.functions: list[int] = []
        self.imports: list[Import] = []
        self.exports: list[tuple[str, str, int]] = []

    def read_type(self, reader: Reader) -> None:
        self.types.append(_signature(reader))

    def read_import(self, reader: Reader) -> None:
        self.imports.append(_import(reader, self.functions))

    def read_function(self, reader: Reader) -> None:
        self.functions.append(reader.u32())

    def read_export(self, reader: Reader) -> None:
        self.exports.append((reader.name(), _kind(reader.byte()), reader.u32()))

    def resolved(self) -> CoreFormat:
        try:
            signatures = [self.types[index] for index in self.functions]
            exported = {name: signatures[index] for name, kind, index in self.exports if kind == "function"}
        except IndexError as error:
            raise ModuleError("the module names a type or a function that it does not have") from error
        imported = (item for item in self.imports if item.kind == "function")
        for item, signature in zip(imported, signatures, strict=False):
            _require_scalar(f"import {item.module}.{item.name}", signature)
        for name, signature in exported.items():
            _require_scalar(f"export {name}", signature)
        memories = frozenset(name for name, kind, _ in self.exports if kind == "memory")
        return CoreFormat(tuple(self.imports), exported, memories)


def _kind(kind: int) -> str:
    if kind >= len(_KINDS):
        raise ModuleError(f"unknown kind {kind} of import or export")
    return _KINDS[kind]


def _signature(reader: Reader) -> Signature:
    form = reader.byte()
    if form != _FUNC_FORM:
        raise ModuleError(f"type form 0x{form:02x} belongs to the GC proposal, which is off")
    params = tuple([_valtype(reader) for _ in range(reader.count("parameters"))])
    return Signature(params, tuple([_valtype(reader) for _ in range(reader.count("results"))]))


def _valtype(reader: Reader) -> str:
    byte = reader.byte()
    name = _NUMBERS.get(byte) or _OTHERS.get(byte)
    if name is None:
        raise ModuleError(f"value type 0x{byte:02x} belongs to a proposal that is off")
    return name


def _import(reader: Reader, functions: list[int]) -> Import:
    module, name, kind = reader.name(), reader.name(), _kind(reader.byte())
    if kind == "function":
        functions.append(reader.u32())
    elif kind == "table":
        _valtype(reader)
        _limits(reader)
    elif kind == "memory":
        _limits(reader)
    elif kind == "global":
        _valtype(reader)
        reader.byte()
    else:
        raise ModuleError(f"import {module}.{name} is a tag; the exceptions proposal is off")
    return Import(module, name, kind)


def _limits(reader: Reader) -> None:
    flags = reader.byte()
    reader.leb64()
    if flags & 1:
        reader.leb64()
    if flags & 8:
        reader.leb64()


def _require_scalar(what: str, signature: Signature) -> None:
    if not signature.is_scalar:
        raise ModuleError(
            f"{what} has the signature {signature}; only i32, i64, f32 and f64 can cross a module's border",
            hint="pass vectors and references through linear memory, or build a component",
        )
