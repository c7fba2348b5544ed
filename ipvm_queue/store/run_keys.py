"""The keys that the secrets of runs are sealed with: sealed themselves, to the workers that may work on the run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from ipvm_queue.store.connection import Broker
    from ipvm_queue.store.keys import Keys

_FIRST: Final = ""  # no DID
_WANT_SECONDS: Final = 24 * 60 * 60


class RunKey(NamedTuple):
    """The boxes of a run's key: the `first`, made with it, and the reader's `own`, made later; None: there is none."""

    first: bytes | None
    own: bytes | None


class RunKeys:
    """The boxes of run keys in Redis, and who asks for one."""

    def __init__(self, redis: Broker, keys: Keys) -> None:
        self._redis = redis
        self._keys = keys

    def found(self, run: str, box: bytes) -> bytes:
        """Keep the first box of a run's key and return it; where there is one already, return that."""
        pipeline = self._redis.pipeline(transaction=True)
        pipeline.hsetnx(self._keys.run_keys(run), _FIRST, box)
        pipeline.hget(self._keys.run_keys(run), _FIRST)
        return bytes(pipeline.execute()[1])

    def get(self, run: str, did: str) -> RunKey:
        """Return the boxes that a reader may try."""
        return RunKey(*self._redis.hmget(self._keys.run_keys(run), [_FIRST, did]))

    def want(self, run: str, did: str) -> None:
        """Ask whoever has the key of a run for a box of one's own."""
        pipeline = self._redis.pipeline(transaction=True)
        pipeline.sadd(self._keys.wanted_keys, f"{run}|{did}")
        pipeline.expire(self._keys.wanted_keys, _WANT_SECONDS)
        pipeline.execute()

    def wants(self) -> list[tuple[str, str]]:
        """Return who asks for which run's key."""
        pairs = (member.decode().partition("|") for member in self._redis.smembers(self._keys.wanted_keys))
        return sorted((run, did) for run, _, did in pairs)

    def give(self, run: str, did: str, box: bytes) -> None:
        """Answer one who asks."""
        pipeline = self._redis.pipeline(transaction=True)
        pipeline.hset(self._keys.run_keys(run), did, box)
        pipeline.srem(self._keys.wanted_keys, f"{run}|{did}")
        pipeline.execute()

    def decline(self, run: str, did: str) -> None:
        """Forget that somebody asks: the run has no key (any more)."""
        self._redis.srem(self._keys.wanted_keys, f"{run}|{did}")
