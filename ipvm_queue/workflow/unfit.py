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
        kind = type(item)
        if kind is dict:
            for key, inner in item.items():
                if type(key) is str:
                    pending.append(((*path, key), inner))
                else:
                    faults.add("not-ipld", f"a map has only text keys, this is {key!r}", path)
        elif kind is list:
            pending.extend(((*path, index), inner) for index, inner in enumerate(item))
        elif kind is Unfit:
            faults.add(item.code, item.message, path, hint=item.hint)
        elif kind is float and not isfinite(item):
            faults.add("not-finite", "numbers are finite", path)
        elif kind is int and not -_INT_LIMIT <= item < _INT_LIMIT:
            faults.add("not-ipld", "whole numbers fit in 64 bits", path)
    if not faults:
        faults.add("not-ipld", "a value in it is of no kind that IPLD has", ())
