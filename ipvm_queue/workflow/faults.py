"""What is wrong with a document, gathered while it is read."""

from __future__ import annotations

import re
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import islice
from typing import TYPE_CHECKING, Final, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterable

Path: TypeAlias = tuple[str | int, ...]
MAX_FAULTS: Final = 1000
_SHOWN: Final = 80
_STEP: Final = re.compile(r'\.?([^.\[\]"]+)|\[(\d+)\]|\["(.*?)"\]')
# Comparing names is slow, and the document decides how many there are and how long.
_MAX_SUGGESTIONS: Final = 20
_MAX_COMPARED: Final = 2000
_MAX_NAME: Final = 64
_MAX_DIFFERENCE: Final = 3


@dataclass(frozen=True, slots=True)
class Problem:
    """One fault before its place in the text is looked up; `at_key` points at the name instead of the value."""

    code: str
    message: str
    path: Path
    hint: str | None = None
    at_key: bool = False


class Faults:
    """The faults found so far; the first `MAX_FAULTS` are kept, the others only counted."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []
        self.dropped = 0
        self._suggestions = 0

    def add(self, code: str, message: str, path: Path, *, hint: str | None = None, at_key: bool = False) -> None:
        """Note one fault at `path`."""
        if len(self.problems) < MAX_FAULTS:
            self.problems.append(Problem(code, message, path, hint, at_key))
        else:
            self.dropped += 1

    def suggest(self, name: str, known: Iterable[str]) -> str | None:
        """Return "did you mean …?" when `name` is close to one of `known`; only for the first faults of a document."""
        if self._suggestions >= _MAX_SUGGESTIONS or len(name) > _MAX_NAME:
            return None
        self._suggestions += 1
        alike = islice((other for other in known if abs(len(other) - len(name)) <= _MAX_DIFFERENCE), _MAX_COMPARED)
        matches = get_close_matches(name, alike, n=2, cutoff=0.7)
        return f"did you mean {' or '.join(map(repr, matches))}?" if matches else None

    def __bool__(self) -> bool:
        return bool(self.problems)


def show(path: Path) -> str:
    """Return a path as people write it: `jobs.count.input[0]`, `jobs["a b"].with`."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
            continue
        name = step[:_SHOWN]
        if name.replace("-", "_").isidentifier():
            text += f".{name}" if text else name
        else:
            text += f'["{name}"]'
    return text


def unshow(text: str) -> Path:
    """Return the path that `show` wrote as `text`."""
    steps = _STEP.findall(text)
    return tuple(int(index) if index else name or quoted for name, index, quoted in steps)


def kind_of(value: object) -> str:
    """Return what `value` is, in the words of JSON."""
    return _KINDS.get(type(value).__name__, "a link")


_KINDS: Final = {
    "NoneType": "null",
    "bool": "a boolean",
    "int": "a number",
    "float": "a number",
    "str": "a text",
    "bytes": "bytes",
    "list": "a list",
    "dict": "a map",
}
