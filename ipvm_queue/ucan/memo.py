"""`Memo`: what has been found out about a token or a block, by its CID, as long as there is room."""

from __future__ import annotations

from collections import OrderedDict
from threading import Lock
from typing import TYPE_CHECKING, Final, Generic, TypeVar

if TYPE_CHECKING:
    from ipvm_queue.ipld import Link

Found = TypeVar("Found")
MAX_BYTES: Final = 32 * 1024 * 1024
_OVERHEAD: Final = 1024
_FACTOR: Final = 8  # a value takes more room than its bytes: a small integer eight times, a link five times


class Memo(Generic[Found]):
    """Findings that hold for ever: form, signature, chain, exports. Never whether it is time, revoked or seen before.

    The findings that were asked for longest ago go when those kept weigh more than `max_bytes`, roughly.
    """

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        self._entries: OrderedDict[Link, tuple[Found, int]] = OrderedDict()
        self._room = max_bytes
        self._lock = Lock()

    def get(self, link: Link) -> Found | None:
        """Return what was found out, None if nothing was or it had to go."""
        with self._lock:
            entry = self._entries.get(link)
            if entry is None:
                return None
            self._entries.move_to_end(link)
            return entry[0]

    def put(self, link: Link, found: Found, size: int) -> None:
        """Keep a finding that was read from `size` bytes."""
        weight = _OVERHEAD + _FACTOR * size
        with self._lock:
            self._drop(link)
            self._entries[link] = (found, weight)
            self._room -= weight
            while self._room < 0:
                self._drop(next(iter(self._entries)))

    def _drop(self, link: Link) -> None:
        _, weight = self._entries.pop(link, (None, 0))
        self._room += weight

    def __len__(self) -> int:
        return len(self._entries)
