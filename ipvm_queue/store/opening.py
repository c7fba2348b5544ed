"""Opening runs in one step. What a large one starts from is staged first: a script takes only so much along."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from ipvm_queue.errors import UnavailableError
from ipvm_queue.ipld import DAG_CBOR, Link
from ipvm_queue.store import scripts
from ipvm_queue.store.blocks import Put
from ipvm_queue.store.chunks import chunks
from ipvm_queue.store.receipts import Entry
from ipvm_queue.store.replays import claim_args, named
from ipvm_queue.store.transitions import Known, Opened, Repeated

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ipvm_queue.store.connection import Broker
    from ipvm_queue.store.keys import Keys
    from ipvm_queue.store.transitions import NewRun, Opening, Outcome

ANSWER_SECONDS: Final = 3600
_STAGED_SECONDS: Final = 3600
_AT_ONCE: Final = 2500  # values that go along with the script; it unpacks a few thousand at most
_AT_ONCE_BYTES: Final = 1024 * 1024


class _Part(NamedTuple):
    """One key of a run: its suffix, the command that adds to it, and what is added."""

    name: str
    command: str
    values: list[Any]


class Opener:
    """Opens runs in Redis. `receipt_lifetime` is in ms, 0 for ever."""

    def __init__(self, redis: Broker, keys: Keys, receipt_lifetime: int) -> None:
        self._redis = redis
        self._keys = keys
        self._lifetime = receipt_lifetime
        self._script = redis.register_script(scripts.source("open"))

    def open(self, runs: Sequence[NewRun]) -> list[Outcome]:
        """Open runs in one round trip; return for each what became of it, or what was not stored of it.

        What was staged for a run that is never opened lapses by itself, and staging twice (the client repeats a
        pipeline whose answer was lost) leaves the run that the first opened as it is.
        """
        pipeline = self._redis.pipeline(transaction=False)
        marks, given = [0], []
        for new in runs:
            parts, blocks = _parts(new.opening, new.blocks), self._blocks(new)
            if _is_small(parts, blocks):
                given.append(self._args(new, parts, blocks))
            else:
                self._stage(pipeline, new, parts, blocks)
                given.append(self._args(new, None, ()))
            pipeline.evalsha(self._script.sha, 1, self._keys.run(new.run), *given[-1])
            marks.append(len(pipeline))
        if len(pipeline) == 1:  # redis-py takes longer over a pipeline than over what stands in it
            return [_outcome(runs[0], self._script(keys=[self._keys.run(runs[0].run)], args=given[0]))]
        answers = pipeline.execute(raise_on_error=False)
        return [
            self._opened(new, args, answers[start:end])
            for new, args, (start, end) in zip(runs, given, pairwise(marks), strict=True)
        ]

    def _opened(self, new: NewRun, args: list[Any], answers: Sequence[Any]) -> Outcome:
        *stored, opened = answers
        if isinstance(opened, Exception):  # the script is not loaded yet, or something is wrong that will show again
            opened = self._script(keys=[self._keys.run(new.run)], args=args)
        failed = next((answer for answer in stored if isinstance(answer, Exception)), None)
        if failed is None:
            return _outcome(new, opened)
        error = UnavailableError(f"the broker could not store the run: {failed}")
        error.__cause__ = failed
        return error

    def _blocks(self, new: NewRun) -> list[Put]:
        """Return what is to be stored beside the run; receipts name the hand-outs, which outlive it."""
        handed = ((Link.of(data, DAG_CBOR), data) for data in new.opening.handed.values())
        return [
            *new.puts,
            *(Put(self._keys.block(cid), data, None) for cid, data in new.blocks.items()),
            *(Put(self._keys.block(cid), data, self._lifetime or None) for cid, data in handed),
        ]

    def _stage(self, pipeline: Broker, new: NewRun, parts: Sequence[_Part], blocks: Sequence[Put]) -> None:
        for key, data, lifetime in blocks:
            pipeline.set(key, data, px=lifetime)
        for name, command, values in parts:
            key = f"{self._keys.run(new.run)}:new:{name}"
            for some in chunks(values):
                pipeline.execute_command(command, key, *some)
            pipeline.expire(key, _STAGED_SECONDS)

    def _args(self, new: NewRun, parts: Sequence[_Part] | None, blocks: Sequence[Put]) -> list[Any]:
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
        given = [each for name, value in fields.items() if value is not None for each in (name, value)]
        along = [each for name, command, values in parts or () for each in (name, command, len(values), *values)]
        stored = [each for key, data, lifetime in blocks for each in (key, data, lifetime or "")]
        head = [self._keys.prefix, new.run, *self._by(new, parts), len(blocks), *stored, len(given), *given]
        return [*head, -1 if parts is None else len(parts), *along]

    def _by(self, new: NewRun, parts: Sequence[_Part] | None) -> list[Any]:
        """Return what the script is told of a request; it answers it where it stores all of the run itself."""
        by = new.by
        if by is None:
            return [""]
        tasks = [self._keys.receipt(task) for task in by.tasks]
        answer = b"" if parts is None else new.opening.answer or b""
        invocations = claim_args(self._keys, by.request, by.invocations)
        return [*invocations, self._keys.at(by.gate), ANSWER_SECONDS, answer, len(tasks), *tasks]


def _outcome(new: NewRun, answer: list[Any]) -> Outcome:
    verdict, *found = answer
    if verdict == b"known":
        return Known([Entry.read(data) for data in found[0]])
    if verdict == b"repeated" and new.by is not None:
        return Repeated(named(new.by.invocations, found[0]))
    return Opened(*map(bool, found))


def _is_small(parts: Sequence[_Part], blocks: Sequence[Put]) -> bool:
    """Whether a run goes along with the script that opens it."""
    count = sum(len(part.values) for part in parts) + len(blocks)
    return count <= _AT_ONCE and sum(len(data) for _, data, _ in blocks) <= _AT_ONCE_BYTES


def _parts(opening: Opening, blocks: Iterable[Link]) -> list[_Part]:
    """Return all that stands beside the hash of a new run."""
    parts = [
        _Part("blocks", "SADD", [cid.key for cid in blocks]),
        _Part("handed", "HSET", [each for pop, data in opening.handed.items() for each in (pop.key, data)]),
        _Part("settled", "HSET", [each for node, record in opening.settled.items() for each in (node, record.pack())]),
        _Part("arrived", "HSET", [each for pair in opening.arrived.items() for each in pair]),
    ]
    for queue, nodes in opening.ready.items():
        parts.append(_Part(f"ready:{queue}", "ZADD", [each for node in nodes for each in (node, node)]))
    return [part for part in parts if part.values]
