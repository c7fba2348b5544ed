"""Who is there: the queue's own DID, and the workers that live."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from ipvm_queue.errors import UnavailableError
from ipvm_queue.ipld import decode, encode

if TYPE_CHECKING:
    from ipvm_queue.store.connection import Broker
    from ipvm_queue.store.keys import Keys

BEAT_SECONDS: Final = 2.0
_LIFE_SECONDS: Final = 7.0


class Worker(NamedTuple):
    """A worker that consumes: its Celery node name, DID, queues, processes, and when it last said so.

    That is a Unix time by the broker's clock.
    """

    name: str
    did: str
    queues: list[str]
    slots: int
    seen: float = 0.0


class Registry:
    """The live workers of a queue, as they tell of themselves every `BEAT_SECONDS`."""

    def __init__(self, redis: Broker, keys: Keys) -> None:
        self._redis = redis
        self._keys = keys

    def establish(self, did: str) -> None:
        """Say that this is the queue of a DID; only the gate knows."""
        self._redis.set(self._keys.subject, did)

    def queue(self) -> str | None:
        """Return the DID that the gate has said the queue has. Who needs to be sure has it from a delegation."""
        known = self._redis.get(self._keys.subject)
        return None if known is None else str(known.decode())

    def user(self) -> str:
        """Return the broker's user that this connection is; empty where it may not even ask."""
        try:
            found = self._redis.acl_whoami()
        except UnavailableError:
            return ""
        return str(found.decode() if isinstance(found, bytes) else found)

    def beat(self, worker: Worker) -> None:
        """Say that a worker lives, and tell the scripts how many processes consume each queue.

        It is the broker's clock that says who has been silent: workers' own may differ.
        """
        now = self._now()
        self._redis.hset(self._keys.workers, worker.name, encode(list(worker._replace(seen=now))))
        workers, silent = self._read(now)
        if silent:
            self._redis.hdel(self._keys.workers, *silent)
        for queue in worker.queues:
            slots = sum(each.slots for each in workers if queue in each.queues)
            self._redis.set(self._keys.slots(queue), slots, px=int(_LIFE_SECONDS * 1000))

    def leave(self, name: str) -> None:
        """Say that a worker stops."""
        self._redis.hdel(self._keys.workers, name)

    def workers(self) -> list[Worker]:
        """Return the workers that have spoken lately."""
        return self._read(self._now())[0]

    def _now(self) -> float:
        """Return the broker's time (Unix s): whose own clock is wrong hears the others all the same."""
        seconds, micros = self._redis.time()
        return float(seconds + micros / 1e6)

    def _read(self, now: float) -> tuple[list[Worker], list[bytes]]:
        """Return the workers that have spoken lately, and the names of those that have not."""
        told = {name: Worker(*decode(data)) for name, data in self._redis.hgetall(self._keys.workers).items()}
        since = now - _LIFE_SECONDS
        live = sorted(worker for worker in told.values() if worker.seen > since)
        return live, [name for name, worker in told.items() if worker.seen <= since]
