r"""Globs of `like`: `*` for any characters, `\*` for a star (UCAN Delegation 1.0 "Glob Matching").

A pattern is cut at its stars once. The first and last piece stand at the ends, and each piece between is looked for
where the one before ended: whatever the pattern, no character is looked at more than a few times, which is not so of
a regular expression with as many stars.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

_PART: Final = re.compile(r"\\\*|\*|[^\\*]+|\\")


@dataclass(frozen=True, slots=True)
class Glob:
    """A pattern as the pieces between its stars; a backslash before anything but a star is itself."""

    pieces: tuple[str, ...]

    @classmethod
    def parse(cls, pattern: str) -> Glob:
        """Return the glob that `pattern` says; every text is one."""
        parts: list[list[str]] = [[]]
        for part in _PART.findall(pattern):
            if part == "*":
                parts.append([])
            else:
                parts[-1].append("*" if part == r"\*" else part)
        first, *rest = map("".join, parts)
        if not rest:
            return cls((first,))
        *inner, last = rest
        return cls((first, *filter(None, inner), last))

    def matches(self, text: str) -> bool:
        """Whether the whole of `text` is as the pattern says; new lines are characters like others."""
        first, *rest = self.pieces
        if not rest:
            return text == first
        *inner, last = rest
        end = len(text) - len(last)
        at = len(first)
        if at > end or not text.startswith(first) or not text.endswith(last):
            return False
        for piece in inner:
            found = text.find(piece, at, end)
            if found < 0:
                return False
            at = found + len(piece)
        return True
