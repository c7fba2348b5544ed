"""Which invocations have come already."""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable


class Replays(Protocol):
    """Remembers which invocations have come."""

    def is_first(self, key: bytes, until: int | None) -> bool:
        """Whether `key` never came before; it is remembered until a time in Unix seconds, None for ever."""


class MemoryReplays:
    """Remembers them as long as the process lives; `clock` gives Unix seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._until: dict[bytes, int | None] = {}
        self._lock = Lock()
        self._purge_at = 1024

    def is_first(self, key: bytes, until: int | None) -> bool:
        """Whether `key` never came before its time was over."""
        now = self._clock()
        with self._lock:
            if key in self._until:
                last = self._until[key]
                if last is None or now < last:
                    return False
            if len(self._until) >= self._purge_at:
                self._until = {each: end for each, end in self._until.items() if end is None or now < end}
                self._purge_at = max(1024, 2 * len(self._until))
            self._until[key] = until
        return True
