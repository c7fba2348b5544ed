"""Every transition of a run as one Lua script, atomic and durable with the rest of the store."""

from __future__ import annotations

from importlib.resources import files
from typing import Final

_PRELUDE: Final = "prelude"
_REQUEST: Final = "request"
_BY_REQUEST: Final = {"claim", "open", "reply"}


def source(name: str) -> str:
    """Return a script's text, with what it shares before it."""
    folder = files(__package__)
    shared = [_PRELUDE, *([_REQUEST] if name in _BY_REQUEST else [])]
    return "".join((folder / f"{each}.lua").read_text() for each in (*shared, name))
