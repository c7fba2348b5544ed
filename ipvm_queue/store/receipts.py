"""Receipts by Task: the memo table. (UCAN Promise 1.1.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ipvm_queue.ipld import Link
from ipvm_queue.store.chunks import chunks

if TYPE_CHECKING:
    from ipvm_queue.store.blocks import RedisBlocks
    from ipvm_queue.store.connection import Broker
    from ipvm_queue.store.keys import Keys

_REUSABLE = b"c"
_BATCH = 1000


class Entry(NamedTuple):
    """One line of the memo table: a receipt, and whether it may stand in for running the Task again."""

    receipt: Link
    reusable: bool

    @classmethod
    def read(cls, data: bytes | None) -> Entry | None:
        """Return the entry that a value of the table is, None where there is none."""
        return None if data is None else cls(Link(data[1:]), data[:1] == _REUSABLE)


class RedisReceipts:
    """The memo table in Redis."""

    def __init__(self, redis: Broker, keys: Keys, blocks: RedisBlocks) -> None:
        self._redis = redis
        self._keys = keys
        self._blocks = blocks

    def of_tasks(self, tasks: list[Link]) -> list[Entry | None]:
        """Return the entries of Tasks, None for those that have no receipt."""
        found = (self._redis.mget([self._keys.receipt(task) for task in some]) for some in chunks(tasks))
        return [Entry.read(data) for some in found for data in some]

    def bytes_of(self, receipts: list[Link]) -> list[bytes | None]:
        """Return the signed envelopes of receipts, None for those that are lost or damaged."""
        found = zip(receipts, self._blocks.find_many(receipts), strict=True)
        return [data if data is not None and receipt.matches(data) else None for receipt, data in found]

    def forget(self, task: Link) -> bool:
        """Take a Task out of the memo table, so that it runs again when it is next asked for."""
        return bool(self._redis.delete(self._keys.receipt(task)))

    def count(self) -> int:
        """Return how many Tasks have an entry."""
        return sum(1 for _ in self._redis.scan_iter(match=f"{self._keys.prefix}receipt:*", count=_BATCH))
