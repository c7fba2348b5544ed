"""Where in a JSON text the values of given paths stand. Only run when a document has faults."""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass, field
from json import loads
from typing import TYPE_CHECKING, Final

from ipvm_queue.workflow.faults import MAX_FAULTS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ipvm_queue.workflow.faults import Path

_TOKEN: Final = re.compile(r'[{}\[\]:,]|"[^"\\]*+(?:\\.[^"\\]*+)*+"|[^\s{}\[\]:,"]++')
_EXCERPT: Final = 160


@dataclass(slots=True)
class Positions:
    """Offsets of names and values by path, and the names that stand twice in one map."""

    text: str
    keys: dict[Path, int] = field(default_factory=dict)
    values: dict[Path, int] = field(default_factory=dict)
    repeated: list[tuple[Path, int]] = field(default_factory=list)
    _lines: list[int] = field(default_factory=list)

    def place(self, path: Path, *, at_key: bool = False) -> tuple[int, int, str]:
        """Return line, column (both from 1) and the source line of a path; of its nearest parent if it is missing."""
        while path not in self.values:  # the empty path, the whole document, always is
            path, at_key = path[:-1], False
        return self.line_of(self.keys[path] if at_key and path in self.keys else self.values[path])

    def line_of(self, offset: int) -> tuple[int, int, str]:
        """Return line, column and source line of an offset."""
        if not self._lines:
            self._lines = [0, *(found.end() for found in re.finditer("\n", self.text))]
        line = bisect_right(self._lines, offset)
        start = self._lines[line - 1]
        first = start if offset - start < _EXCERPT else offset - _EXCERPT // 2
        excerpt = self.text[first : first + _EXCERPT].partition("\n")[0]
        return line, offset - start + 1, excerpt.rstrip("\r")


def scan(text: str, wanted: Iterable[Path]) -> Positions:
    """Walk a well-formed JSON text once, without recursion, and note where `wanted` paths and their parents stand."""
    keep = {path[:length] for path in wanted for length in range(len(path) + 1)}
    found = Positions(text)
    path: list[str | int] = []
    names: list[set[str] | None] = []  # of each open map the names seen so far; None for a list
    expects_key = False
    for token in _TOKEN.finditer(text):
        sign = token[0]
        if sign == ":":
            continue
        if sign == ",":
            expects_key = names[-1] is not None
            if not expects_key:
                path[-1] += 1  # type: ignore[operator] # the step into a list is its index
        elif sign in "}]":
            names.pop()
            path.pop()
            expects_key = False
        elif expects_key:
            expects_key = False
            _note_key(token, path, names[-1], keep, found)
        else:
            here = tuple(path)
            if here in keep:
                found.values[here] = token.start()
            if sign in "{[":
                names.append(set() if sign == "{" else None)
                path.append("" if sign == "{" else 0)
                expects_key = sign == "{"
    return found


def _note_key(
    token: re.Match[str], path: list[str | int], seen: set[str] | None, keep: set[Path], found: Positions
) -> None:
    path[-1] = name = loads(token[0])
    offset = token.start()
    here = tuple(path)
    if here in keep:
        found.keys[here] = offset
    if seen is not None:
        if name in seen and len(found.repeated) < MAX_FAULTS:
            found.repeated.append((here, offset))
        seen.add(name)
