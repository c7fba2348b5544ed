"""What judging a policy may cost, and what it takes for a promise."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ipvm_queue.errors import LimitError
from ipvm_queue.ipld.value import MAX_DEPTH, check_depth
from ipvm_queue.ucan.errors import MatchError
from ipvm_queue.ucan.promise import is_promise

if TYPE_CHECKING:
    from ipvm_queue.ipld import Value

MAX_STEPS: Final = 1_000_000  # about a second; a policy over a list of a thousand takes some thousands
_STEPS_PER_BYTE: Final = 2  # of what is judged together: the args of many tasks are in it, and each costs a little


class Meter:
    """Counts steps down; raises `MatchError` when they are used up, because what cannot be judged is not granted.

    With `promises`, promises in args are told from values: nothing can be said about them yet. Without, args are
    resolved already, and a map that looks like a promise is data. One meter may count for many judgements, of either
    kind.
    """

    __slots__ = ("_left", "_shallow", "promises")

    def __init__(self, steps: int = MAX_STEPS, *, promises: bool = False) -> None:
        self._left = steps
        self._shallow: Value = None
        self.promises = promises

    @classmethod
    def of(cls, size: int) -> Meter:
        """Return a meter for everything that is judged of what came in `size` bytes: of a whole job or bundle."""
        return cls(MAX_STEPS + _STEPS_PER_BYTE * size)

    def check_depth(self, args: Value) -> None:
        """Raise `MatchError` for args that are more than 64 deep; the same ones are looked through once."""
        if args is self._shallow:
            return
        try:
            check_depth(args, max_depth=MAX_DEPTH)
        except LimitError as error:
            raise MatchError(f"the args are {error.message}") from error
        self._shallow = args

    def spend(self, steps: int) -> None:
        """Count `steps`; raises `MatchError` when there are not as many left."""
        self._left -= steps
        if self._left < 0:
            raise MatchError("judging the policies costs too many steps", hint="send shorter args or ask for less")

    def awaits(self, value: Value) -> bool:
        """Whether `value` is a promise, and promises count."""
        return self.promises and type(value) is dict and is_promise(value)

    def holds_promise(self, value: Value) -> bool:
        """Whether there is a promise anywhere in `value`, and promises count."""
        if not self.promises:
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
