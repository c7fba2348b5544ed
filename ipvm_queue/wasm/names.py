"""Finding an export by the name that a job gives it."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

_HUMP: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_SHOWN: Final = 20
_SHOWN_CHARS: Final = 100
INTERNAL: Final = frozenset(
    ("ipvm_alloc", "cabi_realloc", "_initialize", "_start", "__wasm_call_ctors", "malloc", "free", "realloc")
)


@lru_cache(maxsize=1024)
def kebab(name: str) -> str:
    """Return `name` in kebab-case: `fullName`, `full_name` and `%full-name` all become `full-name`.

    What stands before a `#` names an interface and is left alone.
    """
    interface, mark, function = name.rpartition("#")
    return interface + mark + _HUMP.sub("-", function.removeprefix("%")).replace("_", "-").lower()


def matches(name: str, exports: Iterable[str]) -> list[str]:
    """Return the exports that `name` means: the exact one, else every one that is equal to it in kebab-case."""
    exports = tuple(exports)
    if name in exports:
        return [name]
    folded = kebab(name)
    return [export for export in exports if kebab(export) == folded]


def is_internal(name: str) -> bool:
    """Whether an export serves the runtime and is never what a job means by default."""
    return name in INTERNAL or name.startswith(("cabi_post_", "asyncify_", "__"))


def listing(exports: Iterable[str]) -> str:
    """Return the exports in words, cut short when there are many."""
    names = tuple(exports)
    if not names:
        return "it exports no function"
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return "it exports " + ", ".join(first(names)) + more


def first(exports: Iterable[str]) -> list[str]:
    """Return the first few exports, none of them too long to show: a module has as many as it likes."""
    return [name[:_SHOWN_CHARS] for name in sorted(exports)[:_SHOWN]]
