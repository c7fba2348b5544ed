"""Opening runs: all that a run starts from is staged first, and then made the run's in one step."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

from ipvm_queue.errors import UnavailableError
from ipvm_queue.ipld import DAG_CBOR, Link
from ipvm_queue.store import scripts
from ipvm_queue.store.chunks import chunks

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ipvm_queue.store.connection import Broker
    from ipvm_queue.store.keys import Keys
    from ipvm_queue.store.transitions import NewRun

_STAGED_SECONDS: Final = 3600


class Opener:
    """Opens runs in Redis. `receipt_lifetime` is in ms, 0 for ever."""

    def __init__(self, redis: Broker, keys: Keys, receipt_lifetime: int) -> None:
        self._redis = redis
        self._keys = keys
        self._lifetime = receipt_lifetime
        self._script = redis.register_script(scripts.source("open"))

    def open(self, runs: Sequence[NewRun]) -> list[bool | UnavailableError]:
        """Open runs in one round trip; return for each whether it was not open already, or what was not stored of it.

        What was staged for a run that is never opened lapses by itself, and staging twice (the client repeats a
        pipeline whose answer was lost) leaves the run that the first opened as it is.
        """
        pipeline = self._redis.pipeline(transaction=False)
        marks = [0]
        for new in runs:
            self._stage(pipeline, new)
            pipeline.evalsha(self._script.sha, 1, self._keys.run(new.run), *self._args(new))
            marks.append(len(pipeline))
        answers = pipeline.execute(raise_on_error=False)
        return [self._opened(new, answers[start:end]) for new, (start, end) in zip(runs, pairwise(marks), strict=True)]

    def _opened(self, new: NewRun, answers: Sequence[Any]) -> bool | UnavailableError:
        *stored, opened = answers
        if isinstance(opened, Exception):  # the script is not loaded yet, or something is wrong that will show again
            opened = self._script(keys=[self._keys.run(new.run)], args=self._args(new))
        failed = next((answer for answer in stored if isinstance(answer, Exception)), None)
        if failed is None:
            return bool(opened)
        error = UnavailableError(f"the broker could not store the run: {failed}")
        error.__cause__ = failed
        return error

    def _stage(self, pipeline: Broker, new: NewRun) -> None:
        key, opening = self._keys.run(new.run), new.opening
        if new.stage is not None:
            new.stage(pipeline)
        if new.blocks:
            pipeline.mset({self._keys.block(cid): data for cid, data in new.blocks.items()})
        for some in chunks([cid.key for cid in new.blocks]):
            pipeline.sadd(f"{key}:blocks", *some)
        for part, values in (
            ("settled", {node: record.pack() for node, record in opening.settled.items()}),
            ("arrived", dict(opening.arrived)),
            ("handed", {pop.key: data for pop, data in opening.handed.items()}),
        ):
            for some in chunks(list(values.items())):
                pipeline.hset(f"{key}:new:{part}", mapping=dict(some))
            if values:
                pipeline.expire(f"{key}:new:{part}", _STAGED_SECONDS)
        for data in opening.handed.values():  # receipts name them, and outlive the run
            pipeline.set(self._keys.block(Link.of(data, DAG_CBOR)), data, px=self._lifetime or None)
        for queue, nodes in opening.ready.items():
            for some_nodes in chunks(list(nodes)):
                pipeline.zadd(f"{key}:new:ready:{queue}", {str(node): node for node in some_nodes})
            pipeline.expire(f"{key}:new:ready:{queue}", _STAGED_SECONDS)

    def _args(self, new: NewRun) -> list[Any]:
        opening = new.opening
        fields: dict[str, Any] = {
            "plan": opening.plan.bytes,
            "doc": opening.document.bytes,
            "count": opening.count,
            "left": opening.count + (opening.barrier is not None) - len(opening.settled),
            "failed": opening.failed,
            "requestor": opening.requestor,
            "ttl": int(new.lifetime * 1000),
            "first": opening.first_failed,
            "catch": opening.catch,
            "inv": None if opening.invocation is None else opening.invocation.bytes,
            "push": None if opening.push is None else opening.push.bytes,
            "service": opening.service,
            "grants": None if opening.grants is None else opening.grants.bytes,
            "answer": opening.answer,
        }
        for number, (name, template) in enumerate(opening.messages.items()):
            fields[f"queue:{number}"] = self._keys.list(name)
            fields[f"message:{number}"] = template
        given = [(name, value) for name, value in fields.items() if value is not None]
        return [self._keys.prefix, new.run, *(part for pair in given for part in pair)]
