"""Which invocations have come already, and with which request."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ipvm_queue.store.connection import Broker
    from ipvm_queue.store.keys import Keys


class RedisReplays:
    """Remembers invocations by what was signed, each until its time is over.

    A request that is looked at again, because its gate died over it, is not a replay of itself.
    """

    def __init__(self, redis: Broker, keys: Keys) -> None:
        self._redis = redis
        self._keys = keys

    def claim(self, request: str, invocations: Mapping[bytes, int]) -> bytes | None:
        """Remember invocations (the hash of what was signed, and a Unix time until when) as those of a request.

        Return the first that another request has brought; none is remembered then.
        """
        keys = {key: self._keys.replay(key) for key in invocations}
        pipeline = self._redis.pipeline(transaction=True)
        for key, until in invocations.items():
            pipeline.set(keys[key], request, nx=True, exat=until)
            pipeline.get(keys[key])
        found = pipeline.execute()
        owners = dict(zip(invocations, found[1::2], strict=True))
        repeated = next((key for key, owner in owners.items() if owner is None or owner.decode() != request), None)
        if repeated is not None:
            mine = [keys[key] for key, owner in owners.items() if owner is not None and owner.decode() == request]
            if mine:
                self._redis.delete(*mine)
        return repeated
