"""How large a value is, before anyone encodes it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from ipvm_queue.ipld import Value

_ITEM: Final = 9
"""Bytes that an item has at most beside its text: a head, or a number."""


def size_of(value: Value) -> int:
    """Return what `value` has at most as DAG-CBOR, in bytes; never recurses."""
    total = 0
    pending = [value]
    while pending:
        item = pending.pop()
        total += _ITEM
        kind = type(item)
        if kind is str:
            total += len(item) if item.isascii() else len(item.encode())
        elif kind is bytes:
            total += len(item)
        elif kind is list:
            pending.extend(item)
        elif kind is dict:
            pending.extend(item)
            pending.extend(item.values())
    return total
