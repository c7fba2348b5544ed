"""Which delegations have been revoked."""

from __future__ import annotations

from secrets import token_hex
from typing import TYPE_CHECKING, Final

from ipvm_queue.ipld import Link

if TYPE_CHECKING:
    from ipvm_queue.store.connection import Broker
    from ipvm_queue.store.keys import Keys

_VERSION: Final = "version"
_LOOK: Final = 256


class Revocations:
    """The revoked delegations of a queue. With each there is another version of them, by which readers see that."""

    def __init__(self, redis: Broker, keys: Keys) -> None:
        self._redis = redis
        self._keys = keys
        self._known: frozenset[Link] = frozenset()
        self._version: bytes | None = None
        self._cursor = 0

    def add(self, revoked: Link, expires: int | None) -> None:
        """Remember that a delegation has been revoked, until it would have lapsed anyway (Unix s; None: for ever)."""
        fields = {revoked.key: "" if expires is None else expires, _VERSION: token_hex(8)}
        self._redis.hset(self._keys.revoked, mapping=fields)

    def all(self, version: bytes | None = None) -> frozenset[Link]:
        """Return the CIDs of all revoked delegations; they are read only when there is another version of them.

        `version` is the one that there is, where that has been asked already. What has been forgotten meanwhile may
        still be among them.
        """
        if version is None:
            version = self._redis.hget(self._keys.revoked, _VERSION) or b""
        if version != self._version:
            keys = (each.decode() for each in self._redis.hkeys(self._keys.revoked))
            self._known, self._version = frozenset(Link.parse(key) for key in keys if key != _VERSION), version
        return self._known

    def forget(self, before: int) -> None:
        """Forget what would have lapsed before a time (Unix s): of a part of them, the next part at the next call."""
        self._cursor, some = self._redis.hscan(self._keys.revoked, self._cursor, count=_LOOK)
        some.pop(_VERSION.encode(), None)
        lapsed = [key for key, expires in some.items() if expires and int(expires) < before]
        if lapsed:
            self._redis.hdel(self._keys.revoked, *lapsed)
