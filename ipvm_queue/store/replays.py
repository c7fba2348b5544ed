"""Which invocations have come already, and with which request."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ipvm_queue.store import scripts

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ipvm_queue.store.connection import Broker
    from ipvm_queue.store.keys import Keys

WITHDRAWN: Final = b""


class RedisReplays:
    """Remembers invocations by what was signed, each until its time is over.

    A request that is looked at again, because its gate died over it, is not a replay of itself.
    """

    def __init__(self, redis: Broker, keys: Keys) -> None:
        self._keys = keys
        self._claim = redis.register_script(scripts.source("claim"))

    def claim(self, request: str, invocations: Mapping[bytes, int]) -> bytes | None:
        """Remember invocations (the hash of what was signed, and a Unix time until when) as those of a request.

        Return the first of them that another has brought, or `WITHDRAWN` where the request has been taken back; none is
        remembered then.
        """
        place = self._claim(args=[self._keys.prefix, "", *claim_args(self._keys, request, invocations)])
        return named(invocations, place) if place else None


def claim_args(keys: Keys, request: str, invocations: Mapping[bytes, int]) -> list[Any]:
    """Return what the script's `remember` takes."""
    given = [each for key, until in invocations.items() for each in (keys.replay(key), until)]
    return [request, len(invocations), *given]


def named(invocations: Mapping[bytes, int], place: int) -> bytes:
    """Return which invocation the script's `remember` speaks of, or `WITHDRAWN`."""
    return WITHDRAWN if place < 0 else [*invocations][place - 1]
