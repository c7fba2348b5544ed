"""Values that JSON can write and IPLD cannot hold; looked for only once a document is known to have one."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from ipvm_queue.ipld import Value
    from ipvm_queue.workflow.faults import Faults, Path

_INT_LIMIT: Final = 1 << 64


@dataclass(frozen=True, slots=True)
class Unfit:
    """Stands in a parsed document for what could not be read: a bad link, bad bytes, NaN."""

    code: str
    message: str
    hint: str | None = None


def note_unfit(value: Value, faults: Faults) -> None:
    """Note every value that is not IPLD, with its path; never recurses."""
    pending: list[tuple[Path, Value]] = [((), value)]
    while pending:
        path, item = pending.pop()
        if type(item) is dict:
            for key, inner in item.items():
                _note_scalar(key, path, faults)
                pending.append(((*path, key), inner))
        elif type(item) is list:
            pending.extend(((*path, index), inner) for index, inner in enumerate(item))
        else:
            _note_scalar(item, path, faults)
    if not faults:
        faults.add("not-ipld", "a value in it is of no kind that IPLD has", ())


def _note_scalar(item: Value, path: Path, faults: Faults) -> None:
    kind = type(item)
    if kind is Unfit:
        faults.add(item.code, item.message, path, hint=item.hint)
    elif kind is float and not isfinite(item):
        faults.add("not-finite", "numbers are finite", path)
    elif kind is int and not -_INT_LIMIT <= item < _INT_LIMIT:
        faults.add("not-ipld", "whole numbers fit in 64 bits", path)
    elif kind is str:
        try:
            item.encode()
        except UnicodeEncodeError:
            faults.add("not-ipld", "a text has half of a surrogate pair, which is no character", path)
