"""Selectors: paths into args, after jq (UCAN Delegation 1.0 "Selectors")."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from ipvm_queue.ucan.errors import MalformedError

if TYPE_CHECKING:
    from ipvm_queue.ipld import Value
    from ipvm_queue.ucan.meter import Meter

MAX_SEGMENTS: Final = 64
_MAX_TEXT: Final = 4096
_NUMBER: Final = r"-?[0-9]{1,15}"
_SEGMENT: Final = re.compile(
    rf"""(?: \.(?P<name>[\w$-]++)
           | \.?\[ (?: "(?P<quoted>(?:[^"\\]++|\\.)*+)"
                     | (?P<index>{_NUMBER})
                     | (?P<start>{_NUMBER})? : (?P<end>{_NUMBER})?
                     | (?P<values>) ) \]
         ) (?P<optional>\?*+)""",
    re.VERBOSE | re.DOTALL,
)
_IDENTITY: Final = re.compile(r"\.\?*")


class _Sign:
    """A mark for what is no value."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __repr__(self) -> str:
        return self._name


UNRESOLVED: Final = _Sign("UNRESOLVED")  # there is no value at that path
PENDING: Final = _Sign("PENDING")  # the path leads to a promise, so that nothing can be said yet


@dataclass(frozen=True, slots=True)
class Segment:
    """One step of a selector: a map's key, a list's index or slice (as Python's), or None for all values (`[]`)."""

    step: str | int | slice | None
    optional: bool

    def take(self, value: Value, meter: Meter) -> Any:
        """Return what is one step into `value`; `UNRESOLVED` where there is nothing."""
        taken = self._take(value, meter)
        return None if taken is UNRESOLVED and self.optional else taken

    def _take(self, value: Value, meter: Meter) -> Any:
        step = self.step
        if type(step) is str:
            # A key that is not there is null, by the letter; only a step into what is no map fails.
            return value.get(step) if type(value) is dict else UNRESOLVED
        if step is None and type(value) is dict:
            meter.spend(len(value))
            return [value[key] for key in sorted(value, key=_order)]
        if type(value) is not list and type(value) is not bytes:
            return UNRESOLVED
        if step is None:
            return value
        if type(step) is int:
            return value[step] if -len(value) <= step < len(value) else UNRESOLVED
        meter.spend(len(value))
        return value[step]  # type: ignore[index]


@dataclass(frozen=True, slots=True)
class Selector:
    """A path into args.

    Valid: `.`, `.to`, `.to[0]`, `.to[-1]`, `.to[1:3]`, `.[]`, `.["any key"]`, `.cc?`.
    Invalid: `to` (no dot at its head), `..to`, `.to.`, `.to[a]`, `.["open`.
    """

    text: str
    segments: tuple[Segment, ...]

    @classmethod
    def parse(cls, text: str) -> Selector:
        """Return the selector that `text` says; raises `MalformedError`."""
        return _parse(text)

    def select(self, value: Value, meter: Meter) -> Any:
        """Return what `value` has at this path: a value, `UNRESOLVED` or, where `meter` minds promises, `PENDING`."""
        meter.spend(1 + len(self.segments))
        for segment in self.segments:
            if meter.awaits(value):
                return PENDING
            value = segment.take(value, meter)
            if value is UNRESOLVED:
                return UNRESOLVED
        return PENDING if meter.awaits(value) else value

    def __str__(self) -> str:
        return self.text


@lru_cache(maxsize=1024)
def _parse(text: str) -> Selector:
    if len(text) > _MAX_TEXT:
        raise MalformedError(f"a selector has at most {_MAX_TEXT} characters, this one has {len(text)}")
    if not text.startswith("."):
        raise MalformedError(f"the selector {text[:80]!r} does not begin with a dot")
    if _IDENTITY.fullmatch(text):
        return Selector(text, ())
    segments: list[Segment] = []
    at = 0
    while at < len(text):
        match = _SEGMENT.match(text, at)
        if match is None:
            raise MalformedError(f"the selector {text[:80]!r} is not understood from {text[at : at + 20]!r} on")
        segments.append(Segment(_step(match, text), bool(match["optional"])))
        at = match.end()
    if len(segments) > MAX_SEGMENTS:
        raise MalformedError(f"a selector has at most {MAX_SEGMENTS} segments, this one has {len(segments)}")
    return Selector(text, tuple(segments))


def _step(match: re.Match[str], text: str) -> str | int | slice | None:
    if match["name"] is not None:
        return match["name"]
    if match["quoted"] is not None:
        return _unquote(match["quoted"], text)
    if match["index"] is not None:
        return int(match["index"])
    if match["values"] is not None:
        return None
    start, end = match["start"], match["end"]
    return slice(None if start is None else int(start), None if end is None else int(end))


def _unquote(quoted: str, text: str) -> str:
    try:
        key = json.loads(f'"{quoted}"')
        key.encode()
    except ValueError as error:
        raise MalformedError(f"the selector {text[:80]!r} has a key that is no JSON string") from error
    return str(key)


def _order(key: str) -> tuple[int, bytes]:
    """Return what sorts keys as DAG-CBOR does, so that `.[][0]` is the same value everywhere."""
    data = key.encode()
    return len(data), data
