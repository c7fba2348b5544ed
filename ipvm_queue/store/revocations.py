"""Which delegations have been revoked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ipvm_queue.ipld import Link

if TYPE_CHECKING:
    from ipvm_queue.store.connection import Broker
    from ipvm_queue.store.keys import Keys


class Revocations:
    """The revoked delegations of a queue; the set only grows, so that its size says whether it has changed."""

    def __init__(self, redis: Broker, keys: Keys) -> None:
        self._redis = redis
        self._keys = keys
        self._known: frozenset[Link] = frozenset()

    def add(self, revoked: Link, expires: int | None) -> None:
        """Remember that a delegation has been revoked; `expires` is when it would have lapsed anyway."""
        self._redis.hset(self._keys.revoked, revoked.key, "" if expires is None else expires)

    def all(self, count: int | None = None) -> frozenset[Link]:
        """Return the CIDs of all revoked delegations; they are read only when there are more of them.

        `count` is how many there are, where that has been asked already.
        """
        if (self._redis.hlen(self._keys.revoked) if count is None else count) != len(self._known):
            self._known = frozenset(Link.parse(each.decode()) for each in self._redis.hkeys(self._keys.revoked))
        return self._known
