"""Marks: the highest number that a queue has seen of something, so that nobody can lead it back to an older one."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Final

from ipvm_queue.store import scripts

if TYPE_CHECKING:
    from ipvm_queue.store.connection import Broker
    from ipvm_queue.store.keys import Keys

_DIGITS: Final = 20  # 64 bits
_MARGIN: Final = 24 * 60 * 60  # seconds: clocks may be wrong, and answers late
_LONGEST: Final = 366 * 24 * 60 * 60


class Marks:
    """The marks of a queue, in Redis."""

    def __init__(self, redis: Broker, keys: Keys) -> None:
        self._keys = keys
        self._raise = redis.register_script(scripts.source("raise"))

    def raised(self, what: str, number: int, until: float, *, now: float) -> int:
        """Return the highest number that was ever seen of something, this one (64 bits) included.

        It is kept a day longer than `until` (Unix seconds), the longest of those that were said, but for a year at
        most. The key does not show `what`.
        """
        key = self._keys.mark(sha256(what.encode()).hexdigest())
        end = int(min(until + _MARGIN, now + _LONGEST) * 1000)
        return int(self._raise(keys=[key], args=[self._keys.prefix, "", f"{number:0{_DIGITS}}", end]))
