"""What judging a policy may cost, and what it takes for a promise."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ipvm_queue.ucan.errors import MatchError
from ipvm_queue.ucan.promise import is_promise

if TYPE_CHECKING:
    from ipvm_queue.ipld import Value

MAX_STEPS: Final = 1_000_000  # about a second; a policy over a list of a thousand takes some thousands


class Meter:
    """Counts steps down; raises `MatchError` when they are used up, because what cannot be judged is not granted.

    With `promises`, promises in args are told from values: nothing can be said about them yet. Without, args are
    resolved already, and a map that looks like a promise is data.
    """

    __slots__ = ("_left", "_promises")

    def __init__(self, steps: int = MAX_STEPS, *, promises: bool = False) -> None:
        self._left = steps
        self._promises = promises

    def spend(self, steps: int) -> None:
        """Count `steps`; raises `MatchError` when there are not as many left."""
        self._left -= steps
        if self._left < 0:
            raise MatchError("judging the policies costs too many steps", hint="send shorter args or ask for less")

    def awaits(self, value: Value) -> bool:
        """Whether `value` is a promise, and promises count."""
        return self._promises and type(value) is dict and is_promise(value)

    def holds_promise(self, value: Value) -> bool:
        """Whether there is a promise anywhere in `value`, and promises count."""
        if not self._promises:
            return False
        ahead = [value]
        while ahead:
            item = ahead.pop()
            if type(item) is dict:
                if is_promise(item):
                    return True
                self.spend(len(item))
                ahead.extend(item.values())
            elif type(item) is list:
                self.spend(len(item))
                ahead.extend(item)
        return False
