"""`Memo`: what has been found out about a token, by its CID, as long as there is room."""

from __future__ import annotations

from collections import OrderedDict
from threading import Lock
from typing import TYPE_CHECKING, Final, Generic, TypeVar

if TYPE_CHECKING:
    from ipvm_queue.ipld import Link

Found = TypeVar("Found")
MAX_BYTES: Final = 16 * 1024 * 1024
_OVERHEAD: Final = 2048  # what an entry weighs beside its token's bytes, roughly


class Memo(Generic[Found]):
    """Findings that hold for ever: form, signature, chain. Never whether it is time, revoked or seen before.

    The oldest findings go when those kept weigh more than `max_bytes`.
    """

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        self._entries: OrderedDict[Link, tuple[Found, int]] = OrderedDict()
        self._room = max_bytes
        self._lock = Lock()

    def get(self, link: Link) -> Found | None:
        """Return what was found out, None if nothing was or it had to go."""
        entry = self._entries.get(link)
        return None if entry is None else entry[0]

    def put(self, link: Link, found: Found, size: int) -> None:
        """Keep a finding about a token of `size` bytes."""
        with self._lock:
            self._drop(link)
            self._entries[link] = (found, size + _OVERHEAD)
            self._room -= size + _OVERHEAD
            while self._room < 0:
                self._drop(next(iter(self._entries)))

    def _drop(self, link: Link) -> None:
        _, weight = self._entries.pop(link, (None, 0))
        self._room += weight

    def __len__(self) -> int:
        return len(self._entries)
