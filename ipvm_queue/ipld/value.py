"""What an IPLD value is in Python, and how deep it may be."""

from __future__ import annotations

from math import isfinite
from typing import Any, Final, TypeAlias

from ipvm_queue.errors import CodecError, LimitError
from ipvm_queue.ipld.link import Link

Value: TypeAlias = Any  # None | bool | int | float | str | bytes | list[Value] | dict[str, Value] | Link
MAX_DEPTH: Final = 64
_PLAIN: Final = frozenset((bool, type(None), bytes, Link))
_BOXES: Final = frozenset((dict, list))
_INT_LIMIT: Final = 1 << 64


def check(value: Value, *, max_depth: int = MAX_DEPTH) -> None:
    """Raise `CodecError` unless `value` is IPLD and at most `max_depth` deep; never recurses."""
    level = [value]
    for _ in range(max_depth + 1):
        below: list[Value] = []
        for item in level:
            kind = type(item)
            if kind is str:
                if not item.isascii():
                    _check_text(item)
            elif kind is dict:
                _check_keys(item)
                below.extend(item.values())
            elif kind is list:
                below.extend(item)
            elif kind not in _PLAIN:
                _check_number(item)
        if not below:
            return
        level = below
    raise LimitError(f"nested more than {max_depth} deep")


def check_depth(value: Value, *, max_depth: int = MAX_DEPTH) -> None:
    """Raise `LimitError` when `value` is more than `max_depth` deep; looks at nothing else and never recurses."""
    level = [value] if type(value) in _BOXES else []
    for _ in range(max_depth):
        level = [item for box in level for item in (box.values() if type(box) is dict else box) if type(item) in _BOXES]
        if not level:
            return
    if any(level):
        raise LimitError(f"nested more than {max_depth} deep")


def _check_keys(item: dict[Any, Value]) -> None:
    for key in item:
        if type(key) is not str:
            raise CodecError(f"an IPLD map has only text keys, not {type(key).__name__}")
        if not key.isascii():
            _check_text(key)


def _check_number(item: object) -> None:
    if type(item) is int:
        if not -_INT_LIMIT <= item < _INT_LIMIT:
            raise CodecError("an integer does not fit in 64 bits")
    elif type(item) is float:
        if not isfinite(item):
            raise CodecError(f"{item} has no IPLD form")
    else:
        raise CodecError(f"{type(item).__name__} is not an IPLD kind")


def _check_text(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise CodecError(f"text with a lone surrogate at {error.start} is not Unicode") from error
