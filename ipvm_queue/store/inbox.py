"""The gate's inbox: requests by id, taken by one gate at a time, answered once.

A submitter can do no more than leave a request and wait for the answer to it. What stands in the inbox is believed by
nobody: sizes are asked before bytes are read, and blocks are hashed before they count.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from ipvm_queue.errors import UsageError
from ipvm_queue.store import scripts
from ipvm_queue.store.opening import ANSWER_SECONDS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ipvm_queue.ipld import Link
    from ipvm_queue.store.connection import Broker
    from ipvm_queue.store.keys import Keys

CONTAINER: Final = "c"
MAX_CONTAINER: Final = 2 * 1024 * 1024
_MAX_BLOCKS: Final = 4096
_REQUEST_SECONDS: Final = 600
_SMALL: Final = 256 * 1024  # of each of the many that are looked at together


class Parcel(NamedTuple):
    """What a request consists of: the size of every part, and the parts themselves where all of them are small.

    `revoked` is the version of what has been revoked on the queue by then.
    """

    sizes: Mapping[str, int]
    parts: Mapping[str, bytes]
    revoked: bytes


class Taken(NamedTuple):
    """A request that a gate has, and what it consists of: nothing where it has lapsed."""

    request: str
    parcel: Parcel


class Inbox:
    """Requests and their answers, in Redis."""

    def __init__(self, redis: Broker, keys: Keys, *, max_bytes: int) -> None:
        self._redis = redis
        self._keys = keys
        self._max_bytes = max_bytes
        self._look = redis.register_script(scripts.source("look"))
        self._reply = redis.register_script(scripts.source("reply"))

    # The one who asks

    def leave(self, request: str, container: bytes, blocks: Mapping[Link, bytes]) -> None:
        """Leave a request (an id of 32 lower-case hex digits) with the blocks it brings; it lapses after ten minutes.

        Raises `UsageError` for more than the gate takes.
        """
        if len(container) > MAX_CONTAINER or len(blocks) > _MAX_BLOCKS:
            raise UsageError("a request has at most 2 MiB of tokens and 4,096 blocks", hint="put blocks by themselves")
        if sum(map(len, blocks.values())) > self._max_bytes:
            raise UsageError(f"a request brings at most {self._max_bytes} bytes of blocks", hint="ipvm block put")
        key = self._keys.request(request)
        pipeline = self._redis.pipeline(transaction=True)
        pipeline.hset(key, mapping={CONTAINER: container, **{cid.key: data for cid, data in blocks.items()}})
        pipeline.expire(key, _REQUEST_SECONDS)
        pipeline.lpush(self._keys.inbox, request)
        pipeline.execute()

    def answer(self, request: str, seconds: float) -> bytes | None:
        """Wait for the answer to a request; None where it does not come in time."""
        found = self._redis.blpop([self._keys.reply(request)], timeout=seconds)
        return None if found is None else bytes(found[1])

    def withdraw(self, request: str) -> bool:
        """Take a request back: a gate that has not acted on it yet never will. False where it has answered already."""
        return bool(self._redis.expire(self._keys.request(request), 0))  # who asks may say how long it stays

    # The gate

    def take(self, gate: str, seconds: float, most: int) -> list[Taken]:
        """Move up to `most` requests to a gate's own list and look at them; waits for the first of them."""
        pipeline = self._redis.pipeline(transaction=False)
        pipeline.blmove(self._keys.inbox, self._keys.at(gate), seconds, "RIGHT", "LEFT")
        keys, args = self._at(gate, most, ())
        pipeline.evalsha(self._look.sha, len(keys), *keys, *args)
        _, found = pipeline.execute(raise_on_error=False)
        if isinstance(found, Exception):  # the script is not loaded yet, or something is wrong that will show again
            found = self._look(keys=keys, args=args)
        return [_taken(each) for each in found]

    def left_over(self, gate: str) -> list[bytes]:
        """Return what a gate has taken and not answered, the oldest first, as it stands: it may be no id."""
        found: list[bytes] = self._redis.lrange(self._keys.at(gate), 0, -1)
        return found[::-1]

    def gates(self) -> list[str]:
        """Return the gates that have said that they serve."""
        return sorted(_text(each) for each in self._redis.smembers(self._keys.gates))

    def serve(self, gate: str, seconds: float) -> None:
        """Say that a gate serves; it counts as dead when it has not said so for `seconds`."""
        pipeline = self._redis.pipeline(transaction=False)
        pipeline.sadd(self._keys.gates, gate)
        pipeline.set(self._keys.gate(gate), 1, px=int(seconds * 1000))
        pipeline.execute()

    def inherit(self, gate: str) -> None:
        """Put back what dead gates have taken and not answered."""
        for other in self.gates():
            if other == gate or self._redis.exists(self._keys.gate(other)):
                continue
            while self._redis.lmove(self._keys.at(other), self._keys.inbox, "RIGHT", "LEFT") is not None:
                pass
            self._redis.srem(self._keys.gates, other)

    def look(self, gate: str, requests: Sequence[str | bytes]) -> list[Taken]:
        """Look at requests that a gate has, all in one round trip; what is no id of one is dropped."""
        keys, args = self._at(gate, len(requests), requests)
        return [_taken(each) for each in self._look(keys=keys, args=args)] if requests else []

    def _at(self, gate: str, count: int, requests: Sequence[str | bytes]) -> tuple[list[str], list[Any]]:
        keys = [self._keys.at(gate), self._keys.inbox]
        return keys, [self._keys.prefix, count, _MAX_BLOCKS + 1, _SMALL, *requests]

    def parts(self, request: str, names: Sequence[str]) -> list[bytes | None]:
        """Return parts of a request."""
        found: list[Any] = self._redis.hmget(self._keys.request(request), list(names)) if names else []
        return found

    def reply(self, gate: str, answers: Mapping[str, bytes | None]) -> None:
        """Answer requests (None: it is no request) and forget them, in one step."""
        args: list[Any] = [self._keys.prefix, ANSWER_SECONDS]
        for request, answer in answers.items():
            args += (request, int(answer is not None), answer or b"")
        self._reply(keys=[self._keys.at(gate)], args=args)


def _taken(answer: list[Any]) -> Taken:
    name, revoked, count, *found = answer
    request = _text(name)
    if not found:
        return Taken(request, Parcel({CONTAINER: MAX_CONTAINER + 1} if count else {}, {}, revoked))
    sizes, parts = ({_text(name): part for name, part in zip(each[::2], each[1::2], strict=True)} for each in found)
    return Taken(request, Parcel(sizes, parts, revoked))


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")
