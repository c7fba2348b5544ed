"""What an operator says of the world: the `effects_config` file, TOML with a table for each family."""

from __future__ import annotations

import tomllib
from difflib import get_close_matches
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from ipvm_queue.effects.registry import tables
from ipvm_queue.effects.schema import faults
from ipvm_queue.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_NOTHING: Final[Mapping[str, Any]] = MappingProxyType({})


class EffectsConfig:
    """The tables of a file (None: no file, so every table is empty); a key that a table lacks is for its family."""

    def __init__(self, path: Path | None) -> None:
        self._tables = {} if path is None else _read(path)

    def table(self, name: str) -> Mapping[str, Any]:
        """Return a table, empty where the file has none."""
        return self._tables.get(name, _NOTHING)


def _read(path: Path) -> dict[str, Mapping[str, Any]]:
    """Read and check a file; raises `UsageError` that names the file, the table and the key."""
    try:
        given = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is not TOML: {error}", setting="effects_config") from error
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}", setting="effects_config") from error
    known = tables()
    for name, table in given.items():
        if name not in known:
            close = get_close_matches(name, known, n=1)
            hint = f"did you mean [{close[0]}]?" if close else f"tables are: {', '.join(sorted(known)) or 'none'}"
            raise UsageError(f"{path}: no effect has a table [{name}]", hint=hint, setting="effects_config")
        wrong = next(faults(table, {"type": "object", "properties": known[name]}), None)
        if wrong is not None:
            raise UsageError(f"{path}: [{name}] {wrong}", setting="effects_config")
    return {name: MappingProxyType(table) for name, table in given.items()}
