"""Runs: the state of every node of every plan that is being worked on, changed by scripts alone.

A message that is delivered twice, a worker that dies between two lines, a restart of the server: none of them can
make a node settle twice or a successor be forgotten, because each transition is one atomic script and each can be
repeated.
"""

from __future__ import annotations

from contextlib import suppress
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from ipvm_queue.errors import UnavailableError, UsageError
from ipvm_queue.ipld import DAG_CBOR, Link
from ipvm_queue.store import scripts
from ipvm_queue.store.chunks import chunks
from ipvm_queue.store.opening import Opener
from ipvm_queue.store.records import CID_BYTES, Record
from ipvm_queue.store.transitions import Answer, Grant, Header, Opened, Papers, Progress

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ipvm_queue.store.connection import Broker
    from ipvm_queue.store.keys import Keys
    from ipvm_queue.store.transitions import Ask, Attestation, NewRun, Outcome, Settlement

_BATCH: Final = 1000
_PAGE: Final = 1000  # ids that are looked through at once
_LAPSE_POINTS: Final = 1
CRASH_POINTS: Final = 3
DEATH_LIMIT: Final = 6  # two crashes, or six deaths of workers that somebody else killed
_STANDSTILL_MS: Final = 1000
_TIDIED_AT_ONCE: Final = 100


class RedisRuns:
    """Runs in Redis. Leases and lifetimes are in seconds."""

    def __init__(self, redis: Broker, keys: Keys, *, lease: float, receipt_lifetime: float | None) -> None:
        self._redis = redis
        self._keys = keys
        self._lease = int(lease * 1000)
        self._lifetime = int((receipt_lifetime or 0) * 1000)
        self._opener = Opener(redis, keys, self._lifetime)
        names = ("begin", "enter", "settle", "renew", "abandon", "sweep", "cancel", "receive", "tidy", "withdraw")
        self._scripts = {name: redis.register_script(scripts.source(name)) for name in names}
        self._tidied = (0, b"0")

    def _call(self, name: str, run: str, *args: Any) -> Any:
        return self._scripts[name](keys=[self._keys.run(run)], args=[self._keys.prefix, run, *args])

    # Opening

    def open(self, new: NewRun) -> bool:
        """Open a run in one step; False where a run of this id is open already.

        Raises `UnavailableError` where it could not be stored as a whole.
        """
        (opened,) = self.open_all([new])
        if isinstance(opened, UnavailableError):
            raise opened
        return isinstance(opened, Opened) and opened.new

    def open_all(self, runs: Sequence[NewRun]) -> list[Outcome]:
        """Open runs in one round trip; return for each what became of it.

        Of a run that comes by a request, what is remembered of that, the opening and the answer are one step.
        """
        answers = self._opener.open(runs)
        for new, answer in zip(runs, answers, strict=True):
            if isinstance(answer, UnavailableError):  # half a run is none
                self.cancel(new.run, "it could not be stored as a whole")
        return answers

    def withdraw(self, run: str) -> None:
        """Take a run from the workers, so that nothing of it settles any more and it can be opened again.

        Its header and what has settled stay; until then it counts as cancelled.
        """
        self._call("withdraw", run)

    def unsettle(self, run: str, nodes: Sequence[int]) -> None:
        """Forget the records of nodes of a withdrawn run, which are to be looked at again."""
        for some in chunks(list(nodes)):
            self._redis.hdel(f"{self._keys.run(run)}:settled", *some)

    # Working

    def begin(
        self,
        run: str,
        owner: str,
        queue: str,
        want: int,
        node: int,
        *,
        plan: Link | None = None,
        pop: Link | None = None,
    ) -> Grant:
        """Count a message off and lease up to `want` ready nodes, the one that the message names first.

        `queue` is the Celery queue that the message came by. With `plan`, the CID of the run's, that comes along; with
        `pop`, that under which the owner works, the run's papers do.
        """
        keys = ("" if link is None else link.key for link in (plan, pop))
        answer = self._call("begin", run, owner, self._keys.list(queue), want, self._lease, node, *keys)
        granted, number, data, *papers = answer
        return _grant(granted)._replace(queue=number, plan=data, papers=_papers(papers) if papers else None)

    def enter(self, run: str, owner: str, queue: int, asks: Sequence[Ask]) -> list[Answer]:
        """Find receipts for nodes about to run, and claim what has none, so that one owner alone computes it."""
        args: list[Any] = [owner, queue, self._lease, len(asks)]
        for node, mode, tasks, patience in asks:
            args += (node, int(patience * 1000) if mode == "await" else mode, len(tasks))
            args += [task.key for task in tasks]
        return [_answer(answer) for answer in self._call("enter", run, *args)]

    def settle(
        self,
        run: str,
        owner: str,
        queue: int,
        settlements: Sequence[Settlement],
        *,
        want: int = 0,
        ahead: Sequence[int] = (),
        back: Sequence[tuple[int, list[Link]]] = (),
        status: str = "",
        attestations: Sequence[Attestation] = (),
    ) -> Grant:
        """Settle nodes, publish what became ready, and lease up to `want` nodes more.

        `ahead` are nodes that the owner is running before their release, `back` nodes that it returns unbegun with
        the Tasks it had claimed for them. `attestations` say the new receipts in the service's name. Settling again
        what is settled changes nothing.
        """
        args: list[Any] = [owner, queue, want, self._lease, self._lifetime, status]
        args += (len(ahead), *ahead, len(attestations))
        said: dict[bytes, int] = {}
        for number, attestation in enumerate(attestations, 1):
            args += (attestation.link.key, attestation.link.bytes, attestation.data)
            said |= dict.fromkeys((receipt.bytes for receipt in attestation.receipts), number)
        args.append(len(back))
        for node, tasks in back:
            args += (node, len(tasks), *[task.key for task in tasks])
        rows, targets = _rows(settlements, said)
        args += (len(targets) // 3, *targets, len(settlements), *rows)
        return _grant(self._call("settle", run, *args))

    def renew(self, run: str, owner: str, queue: int, nodes: Sequence[int], tasks: Sequence[Link]) -> int:
        """Keep the owner's leases on nodes and its claims on Tasks; return how many leases it still holds."""
        keys = [task.key for task in tasks]
        return int(self._call("renew", run, owner, queue, self._lease, len(nodes), *nodes, len(keys), *keys))

    def abandon(self, run: str, owner: str, *, crashed: bool) -> int:
        """Make what a dead owner held in a run ready again; `crashed` says that a guest may have killed it."""
        return int(self._call("abandon", run, owner, CRASH_POINTS if crashed else _LAPSE_POINTS, int(crashed)))

    def sweep(self) -> int:
        """Repair every live run; return how many nodes came back. One worker a moment does it for all.

        Some of the runs that are remembered are looked at too, and forgotten where their lifetime is over, and some of
        the claims to Tasks, where their owners have let them lapse.
        """
        if not self._redis.set(self._keys.sweep, 1, nx=True, px=_STANDSTILL_MS // 2):
            return 0
        place, cursor = self._tidied
        self._tidied = self._call("tidy", "", place, _TIDIED_AT_ONCE, cursor)
        live = self._redis.smembers(self._keys.live)
        return sum(int(self._call("sweep", run.decode(), _LAPSE_POINTS, _STANDSTILL_MS)) for run in live)

    def cancel(self, run: str, reason: str) -> str:
        """End a run before its time; return the state it was in. Raises `UsageError` for an unknown run."""
        state = self._call("cancel", run, reason)
        if state is None:
            raise _unknown(run)
        return str(state.decode())

    def set_outcome(self, run: str, outcome: bytes) -> None:
        """Remember what the `catch` handler made of a failure: a Result in DAG-CBOR."""
        self._redis.hset(self._keys.run(run), "outcome", outcome)

    # Papers

    def hand(self, run: str, pop: Link, handout: bytes) -> None:
        """Keep the queue's signed answer by which a run is handed to a pop; a second one changes nothing."""
        pipeline = self._redis.pipeline(transaction=True)
        pipeline.hsetnx(self._keys.handed(run), pop.key, handout)
        pipeline.set(self._keys.block(Link.of(handout, DAG_CBOR)), handout, px=self._lifetime or None)
        pipeline.execute()

    def handed(self, run: str, pop: Link) -> bytes | None:
        """Return the hand-out of a run to a pop, None where it has not been handed to it."""
        return self._redis.hget(self._keys.handed(run), pop.key)  # type: ignore[no-any-return]

    def receive(self, receipt: Link, word: Link, delegations: Link, tasks: Sequence[Link]) -> int:
        """Keep a verified receipt of another queue under the Tasks that it answers, and wake who waits for them.

        `word` is the token that says it in its service's name, `delegations` the container of those that it came with;
        the blocks of all three are stored before.
        """
        keys, said = [task.key for task in tasks], word.bytes + delegations.bytes
        return int(self._call("receive", "", receipt.key, receipt.bytes, said, self._lifetime, *keys))

    def awaited(self) -> list[Link]:
        """Return the Tasks that somebody waits for."""
        names = (name.decode() for name in self._redis.smembers(self._keys.awaited))
        return [Link.parse(name) for name in names if name.startswith("f0171")]

    def attestation(self, receipt: Link) -> Link | None:
        """Return the CID of the token that says a receipt in the service's name, None where there is none."""
        said = self._redis.get(self._keys.proxy(receipt))
        return None if said is None else Link(said[:CID_BYTES])

    def delegations(self, receipt: Link) -> Link | None:
        """Return the container of delegations that a receipt of another queue came with; None for one of this queue."""
        said = self._redis.get(self._keys.proxy(receipt)) or b""
        return Link(said[CID_BYTES:]) if len(said) > CID_BYTES else None

    # Looking

    def header(self, run: str) -> Header:
        """Return a run as a whole; raises `UsageError` where it is not known."""
        fields = self._redis.hgetall(self._keys.run(run))
        if b"state" not in fields:
            raise _unknown(run)
        state = fields[b"state"].decode()
        status = "running" if state == "running" else fields[b"status"].decode()
        submitted = self._redis.zscore(self._keys.runs, run)
        return Header(
            run=run,
            status=status,
            plan=Link(fields[b"plan"]),
            document=Link(fields[b"doc"]),
            count=int(fields[b"count"]),
            left=min(int(fields[b"left"]), int(fields[b"count"])),  # the barrier is no task
            failed=int(fields[b"failed"]),
            requestor=fields[b"requestor"].decode(),
            submitted=int(submitted or 0),
            outcome=fields.get(b"outcome"),
            reason=fields.get(b"reason", b"").decode(),
            invocation=_link(fields.get(b"inv")),
            push=_link(fields.get(b"push")),
            service=fields[b"service"].decode() if b"service" in fields else None,
            grants=_link(fields.get(b"grants")),
            answer=fields.get(b"answer"),
        )

    def plan_of(self, run: str) -> Link | None:
        """Return the CID of a run's plan, None where the run is not known."""
        plan = self._redis.hget(self._keys.run(run), "plan")
        return None if plan is None else Link(plan)

    def first_failed(self, run: str) -> int | None:
        """Return the lowest node that failed a run, None where none has."""
        failed, first = self._redis.hmget(self._keys.run(run), "failed", "first")
        return None if first is None or not int(failed or 0) else int(first)

    def queues(self, run: str) -> set[str]:
        """Return the names of the Celery queues on which a run has work."""
        lists = self._redis.hmget(self._keys.run(run), "queue:0", "queue:1")
        return {each.decode().removeprefix(self._keys.prefix) for each in lists if each is not None}

    def live(self) -> list[Header]:
        """Return the runs that are not over."""
        found = []
        for name in self._redis.smembers(self._keys.live):
            with suppress(UsageError):
                found.append(self.header(name.decode()))
        return found

    def recent(self, limit: int = 100) -> list[Header]:
        """Return the runs opened last, newest first."""
        found = []
        for name in self._redis.zrevrange(self._keys.runs, 0, limit - 1):
            with suppress(UsageError):  # its lifetime is over
                found.append(self.header(name.decode()))
        return found

    def beginning(self, start: str, limit: int) -> list[str]:
        """Return the ids of at most `limit` runs that begin with `start`, newest first."""
        begin_so = (name for name in self._names() if name.startswith(start))
        known = (name for name in begin_so if self._redis.hget(self._keys.run(name), "state"))  # others have lapsed
        return list(islice(known, limit))

    def _names(self) -> Iterator[str]:
        """Yield the ids of all runs that are remembered, newest first, each once."""
        seen: set[bytes] = set()
        first = 0
        while names := self._redis.zrevrange(self._keys.runs, first, first + _PAGE - 1):
            yield from (name.decode() for name in names if name not in seen)
            seen = set(names)  # a run that is opened meanwhile moves those after it
            first += _PAGE

    def records(self, run: str, nodes: Sequence[int]) -> list[Record | None]:
        """Return the records of nodes, None for those that have not settled."""
        found: list[Record | None] = []
        for some in chunks(list(nodes)):
            packed = self._redis.hmget(f"{self._keys.run(run)}:settled", some)
            found.extend(None if data is None else Record.unpack(data) for data in packed)
        return found

    def progress(self, run: str, after: bytes, seconds: float) -> Iterator[Progress]:
        """Wait up to `seconds` for entries after a position of the event stream (b"0" is its start)."""
        answer = self._redis.xread(
            {f"{self._keys.run(run)}:events": after}, count=_BATCH, block=int(seconds * 1000) or 1
        )
        entries = [entry for part in _streams(answer) for entry in part]
        for position, fields in entries:
            end, record = fields.get(b"end"), fields.get(b"r")
            yield Progress(
                position,
                fields.get(b"s", b""),
                None if end is None else end.decode(),
                None if record is None else Record.unpack(record),
            )


def _streams(answer: Any) -> Iterator[Any]:
    """Yield the entries of each stream of an XREAD answer, which is a list or, over RESP3, a map."""
    parts = answer.items() if isinstance(answer, dict) else answer or ()
    for _, entries in parts:
        yield from ([entries] if entries and isinstance(entries[0], tuple) else entries)


def _rows(settlements: Sequence[Settlement], said: Mapping[bytes, int]) -> tuple[list[Any], list[Any]]:
    """Return what `settle` is told of nodes, and of those that they tell, which it is told of once."""
    rows: list[Any] = []
    targets: list[Any] = []
    places: dict[int, int] = {}
    for node, record, receipt, tasks, reusable, fails, ahead, told in settlements:
        letters = ("a" if ahead else "r") + ("c" if reusable else "n") + ("f" if fails else "-")
        rows += (node, letters, record.pack(), record.receipt.key, receipt, said.get(record.receipt.bytes, 0))
        rows.append(len(tasks))
        rows += [task.key for task in tasks]
        rows.append(len(told))
        for target in told:
            place = places.get(target[0])
            if place is None:
                place = places[target[0]] = len(places) + 1
                targets += target
            rows.append(place)
    return rows, targets


def _grant(answer: list[Any]) -> Grant:
    state, careful, revoked, *numbers = answer
    return Grant(state.decode(), bool(careful), list(zip(numbers[::2], numbers[1::2], strict=True)), revoked)


def _papers(answer: list[bytes]) -> Papers:
    invocation, push, tokens, handout = answer
    return Papers(Link(invocation), Link(push), tokens, handout)


def _link(data: bytes | None) -> Link | None:
    return None if data is None else Link(data)


def _answer(answer: bytes | list[Any]) -> Answer:
    if isinstance(answer, bytes):
        return Answer(answer.decode(), [])
    pairs = zip(answer[1::2], answer[2::2], strict=True)
    return Answer(answer[0].decode(), [(Link(cid), block) for cid, block in pairs])


def _unknown(run: str) -> UsageError:
    return UsageError(f"no run {run!r} is known on this queue", hint="ipvm run list shows those that are")
