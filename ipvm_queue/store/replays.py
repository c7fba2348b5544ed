"""Which invocations have come already, and with which request."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ipvm_queue.store.chunks import chunks
from ipvm_queue.store.receipts import Entry

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ipvm_queue.ipld import Link
    from ipvm_queue.store.connection import Broker
    from ipvm_queue.store.keys import Keys


class RedisReplays:
    """Remembers invocations by what was signed, each until its time is over.

    A request that is looked at again, because its gate died over it, is not a replay of itself.
    """

    def __init__(self, redis: Broker, keys: Keys) -> None:
        self._redis = redis
        self._keys = keys

    def claim(
        self, wanted: Sequence[tuple[str, Mapping[bytes, int]]], tasks: Sequence[Link] = ()
    ) -> tuple[list[bytes | None], list[Entry | None]]:
        """Remember invocations (the hash of what was signed, and a Unix time until when) as those of requests.

        Return for each request the first of its invocations that another has brought, before it or in front of it
        here; none of it is remembered then. And, from the same round trip, the memo table's entries of `tasks`.
        """
        pipeline = self._redis.pipeline(transaction=True)
        for request, invocations in wanted:
            for key, until in invocations.items():
                pipeline.set(self._keys.replay(key), request, nx=True, get=True, exat=until)
        claims = len(pipeline)
        for some in chunks(list(tasks)):
            pipeline.mget([self._keys.receipt(task) for task in some])
        answers = pipeline.execute()
        owners = iter(answers[:claims])
        repeated: list[bytes | None] = []
        mine: list[str] = []
        for request, invocations in wanted:
            found = dict(zip(invocations, owners, strict=False))
            own = [key for key, owner in found.items() if owner is None or owner.decode() == request]
            repeated.append(next((key for key in found if key not in own), None))
            if repeated[-1] is not None:
                mine += [self._keys.replay(key) for key in own]
        if mine:
            self._redis.delete(*mine)
        return repeated, [Entry.read(data) for some in answers[claims:] for data in some]
