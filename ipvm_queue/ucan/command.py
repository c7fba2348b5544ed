"""Commands: what may be done, as `/`-delimited paths."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from ipvm_queue.ucan.errors import MalformedError

MAX_LENGTH: Final = 1024
_IN_ANOTHERS_NAME: Final = ("ucan",)


@dataclass(frozen=True, slots=True)
class Command:
    """A command; it covers itself and every command below it (UCAN Delegation 1.0 "Command").

    What one does in another's name, `/ucan` and below it (signing receipts, taking delegations back), is no part of
    `/`: it is delegated in so many words or not at all. Who lets somebody do everything means work.

    Valid: `/` (all commands), `/crud`, `/crud/create`, `/a/b/c`.
    Invalid: `crud` (no slash at its head), `/crud/` (one at its end), `/CRUD` (not lower case), `/crud//create` (an
    empty segment).
    """

    segments: tuple[str, ...]

    @classmethod
    def parse(cls, text: str) -> Command:
        """Return the command that `text` says; raises `MalformedError`."""
        if len(text) > MAX_LENGTH:
            raise MalformedError(f"a command has at most {MAX_LENGTH} characters, this one has {len(text)}")
        return _parse(text)

    def proves(self, other: Command) -> bool:
        """Whether whoever may do this may do `other`: segment by segment, so `/crypto` is not `/cryptocurrency`."""
        if not self.segments and other.segments[:1] == _IN_ANOTHERS_NAME:
            return False
        return other.segments[: len(self.segments)] == self.segments

    def __str__(self) -> str:
        return "/" + "/".join(self.segments)


@lru_cache(maxsize=1024)
def _parse(text: str) -> Command:
    if not text.startswith("/"):
        raise MalformedError(f"the command {text[:80]!r} does not begin with a slash")
    if text == "/":
        return Command(())
    if text.endswith("/"):
        raise MalformedError(f"the command {text[:80]!r} ends with a slash")
    if text != text.lower():
        raise MalformedError(f"the command {text[:80]!r} is not in lower case")
    segments = tuple(text[1:].split("/"))
    if "" in segments:
        raise MalformedError(f"the command {text[:80]!r} has an empty segment")
    return Command(segments)
