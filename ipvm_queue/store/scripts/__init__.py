"""Every transition of a run as one Lua script, atomic and durable with the rest of the store."""

from __future__ import annotations

from importlib.resources import files

_PRELUDE = "prelude.lua"


def source(name: str) -> str:
    """Return a script's text, with what all share before it."""
    folder = files(__package__)
    return (folder / _PRELUDE).read_text() + (folder / f"{name}.lua").read_text()
