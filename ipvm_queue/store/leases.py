"""Leases of workers: who has popped, until when it may take work, and the broker's user it does so as."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ipvm_queue.ipld import Link, decode, encode

if TYPE_CHECKING:
    from collections.abc import Collection

    from ipvm_queue.store.connection import Broker
    from ipvm_queue.store.keys import Keys


class Lease(NamedTuple):
    """A worker's lease: its pop's CID and Task, DID, name, queues, until when (Unix s), broker's user ('' for none).

    `links` are the delegations that it stands on.
    """

    pop: Link
    task: Link
    worker: str
    name: str
    queues: list[str]
    until: int
    user: str
    links: list[Link]


class Leases:
    """The leases of a queue, kept by its gate."""

    def __init__(self, redis: Broker, keys: Keys) -> None:
        self._redis = redis
        self._keys = keys

    def put(self, lease: Lease) -> None:
        """Remember a lease, until its end."""
        self._redis.hset(self._keys.leases, lease.pop.key, encode(list(lease)))

    def end(self, lease: Lease) -> None:
        """Forget a lease."""
        self._redis.hdel(self._keys.leases, lease.pop.key)

    def all(self) -> list[Lease]:
        """Return all leases, also those that are over and have not been forgotten yet."""
        return [Lease(*decode(data)) for data in self._redis.hvals(self._keys.leases)]

    def standing(self, links: Collection[Link]) -> list[Lease]:
        """Return the leases that stand on one of some delegations."""
        wanted = set(links)
        return [lease for lease in self.all() if wanted & set(lease.links)]
