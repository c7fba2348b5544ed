"""Which invocations have come already, and with which request."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ipvm_queue.store import scripts
from ipvm_queue.store.chunks import chunks
from ipvm_queue.store.receipts import Entry

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ipvm_queue.ipld import Link
    from ipvm_queue.store.connection import Broker
    from ipvm_queue.store.keys import Keys


WITHDRAWN: Final = b""


class RedisReplays:
    """Remembers invocations by what was signed, each until its time is over.

    A request that is looked at again, because its gate died over it, is not a replay of itself.
    """

    def __init__(self, redis: Broker, keys: Keys) -> None:
        self._redis = redis
        self._keys = keys
        self._claim = redis.register_script(scripts.source("claim"))

    def claim(
        self, wanted: Sequence[tuple[str, Mapping[bytes, int]]], tasks: Sequence[Link] = ()
    ) -> tuple[list[bytes | None], list[Entry | None]]:
        """Remember invocations (the hash of what was signed, and a Unix time until when) as those of requests.

        Return for each request the first of its invocations that another has brought, before it or in front of it
        here, or `WITHDRAWN` where it has been taken back; none of it is remembered then. And the memo table's entries
        of `tasks`, a thousand of them from the same round trip.
        """
        some, *others = [*chunks([self._keys.receipt(task) for task in tasks])] or [[]]
        args: list[Any] = [self._keys.prefix, "", len(wanted)]
        for request, invocations in wanted:
            args += (request, len(invocations))
            for key, until in invocations.items():
                args += (self._keys.replay(key), until)
        answers = self._claim(args=[*args, *some])
        for more in others:
            answers += self._redis.mget(more)
        places = zip(wanted, answers, strict=False)
        repeated = [_found(list(invocations), place) for (_, invocations), place in places]
        return repeated, [Entry.read(data) for data in answers[len(wanted) :]]


def _found(invocations: Sequence[bytes], place: int) -> bytes | None:
    """Return what the script says of a request: the invocation at a place that counts from 1."""
    if place < 0:
        return WITHDRAWN
    return invocations[place - 1] if place else None
