"""`inspect`: what a module is and exports, read before any engine sees it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal

from ipvm_queue.errors import ModuleError
from ipvm_queue.wasm import names
from ipvm_queue.wasm.component_format import read_component
from ipvm_queue.wasm.core_format import Import, Signature, read_core
from ipvm_queue.wasm.scalars import MismatchError, core_argument

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ipvm_queue.ipld import Value

MAX_MODULE_BYTES: Final = 32 * 1024 * 1024
PENDING: Final = object()
"""Stands in `check_call`'s arguments for a value that a promise will bring."""

_CORE: Final = b"\0asm\x01\0\0\0"
_COMPONENT: Final = b"\0asm\x0d\0\x01\0"
_BYTES_ABI: Final = Signature(("i32", "i32"), ("i64",))
_ALLOC: Final = Signature(("i32",), ("i32",))
_AROUND_A_NAME: Final = 16


@dataclass(frozen=True, slots=True)
class ModuleInfo:
    """A module's kind, imports and exported functions.

    `functions` maps a name to its signature; a component's signatures are None here (its own types are read when it
    runs). `interfaces` are the instances that a component exports; their functions are named `interface#function`.
    """

    kind: Literal["core", "component"]
    functions: Mapping[str, Signature | None]
    imports: tuple[Import, ...] = ()
    interfaces: tuple[str, ...] = ()
    memories: frozenset[str] = field(default=frozenset())

    def find(self, func: str) -> str:
        """Return the export that `func` means: exactly, else by kebab-case; `ModuleError` for none or several."""
        if func in self.functions:
            return func
        found = names.matches(func, self.functions)
        if len(found) == 1:
            return found[0]
        if found:
            raise ModuleError(f"{func!r} may be any of the exports {', '.join(sorted(found))}", hint="name one exactly")
        if func.rpartition("#")[0] in self.interfaces:
            return func
        raise ModuleError(
            f"the module exports no function {func!r}; {self._listing}", exports=names.first(self._public)
        )

    def choose(self, label: str) -> str:
        """Return the export for a job that names none: the one called like its label, else the only one."""
        if names.matches(label, self.functions):
            return self.find(label)
        if len(self._public) == 1 and not self.interfaces:
            return self._public[0]
        raise ModuleError(
            f"job {label!r} names no function, and none is called like it; {self._listing}",
            hint='say which with "func"',
            exports=names.first(self._public),
        )

    @property
    def takes_bytes(self) -> bool:
        """Whether this is a core module whose host can hand it bytes: it exports `memory` and `ipvm_alloc`."""
        return self.kind == "core" and "memory" in self.memories and self.functions.get("ipvm_alloc") == _ALLOC

    def uses_bytes(self, export: str) -> bool:
        """Whether a core export is called with DAG-CBOR in memory instead of numbers."""
        return self.takes_bytes and self.functions.get(export) == _BYTES_ABI

    def check_call(self, func: str, args: Sequence[Value]) -> None:
        """Raise `ModuleError` unless `args` fit the export as far as its signature tells; `PENDING` fits anything."""
        export = self.find(func)
        signature = self.functions.get(export)
        if signature is None or self.uses_bytes(export):
            return
        if len(args) != len(signature.params):
            raise ModuleError(f"{export}{signature} takes {len(signature.params)} arguments, got {len(args)}")
        for index, (value, kind) in enumerate(zip(args, signature.params, strict=True)):
            if value is not PENDING:
                try:
                    core_argument(value, kind)
                except MismatchError as error:
                    raise ModuleError(f"argument {index + 1} of {export}: {error}") from error

    @property
    def size(self) -> int:
        """Roughly how many bytes of the module all of this was read from."""
        names = [*self.functions, *self.interfaces, *self.memories, *(each.module + each.name for each in self.imports)]
        types = sum(len(each.params) + len(each.results) for each in self.functions.values() if each is not None)
        return sum(map(len, names)) + _AROUND_A_NAME * len(names) + types

    @property
    def _public(self) -> list[str]:
        return sorted(name for name in self.functions if not names.is_internal(name))

    @property
    def _listing(self) -> str:
        return names.listing([*self._public, *(f"{name}#…" for name in self.interfaces)])


def inspect(data: bytes) -> ModuleInfo:
    """Return what the module in `data` is; raises `ModuleError` unless it is Wasm that this package runs."""
    if len(data) > MAX_MODULE_BYTES:
        raise ModuleError(f"the module has {len(data)} bytes, at most {MAX_MODULE_BYTES} are run")
    if data[:8] == _CORE:
        core = read_core(data)
        return ModuleInfo("core", core.functions, core.imports, memories=core.memories)
    if data[:8] == _COMPONENT:
        component = read_component(data)
        return ModuleInfo("component", dict.fromkeys(component.functions), component.imports, component.interfaces)
    raise ModuleError("not Wasm: neither a core module (version 1) nor a component", hint=_guess(data))


def _guess(data: bytes) -> str:
    if data[:4] == b"\0asm":
        return f"its version bytes are {data[4:8].hex(' ')}"
    if data.lstrip()[:1] == b"(":
        return "it looks like the text format; assemble it first (wat2wasm, wasm-tools parse)"
    return "a Wasm file starts with the bytes 00 61 73 6d"
