"""What an IPLD value is in Python, and how deep it may be."""

from __future__ import annotations

from math import isfinite
from typing import Any, Final, TypeAlias

from ipvm_queue.errors import CodecError, LimitError
from ipvm_queue.ipld.link import Link

Value: TypeAlias = Any  # None | bool | int | float | str | bytes | list[Value] | dict[str, Value] | Link
MAX_DEPTH: Final = 64
_PLAIN: Final = frozenset((str, bool, type(None), bytes, Link))
_INT_LIMIT: Final = 1 << 64


def check(value: Value, *, max_depth: int = MAX_DEPTH) -> None:
    """Raise `CodecError` unless `value` is IPLD and at most `max_depth` deep; never recurses."""
    level = [value]
    depth = 0
    while level:
        below: list[Value] = []
        for item in level:
            kind = type(item)
            if kind in _PLAIN:
                continue
            if kind is dict:
                if not all(type(key) is str for key in item):
                    raise CodecError("an IPLD map has only text keys")
                below.extend(item.values())
            elif kind is list:
                below.extend(item)
            elif kind is int:
                if not -_INT_LIMIT <= item < _INT_LIMIT:
                    raise CodecError(f"the integer {item} does not fit in 64 bits")
            elif kind is float:
                if not isfinite(item):
                    raise CodecError(f"{item} has no IPLD form")
            else:
                raise CodecError(f"{kind.__name__} is not an IPLD kind")
        if below and depth >= max_depth:
            raise LimitError(f"nested more than {max_depth} deep")
        level = below
        depth += 1
