"""A run as its submitter sees it: progress while it goes on, results when they are there."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from time import monotonic, sleep
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from ipvm_queue.crypto import is_sealed
from ipvm_queue.errors import UnavailableError, UsageError, WaitTimeoutError, WrongKeyError
from ipvm_queue.ipld import Link, decode
from ipvm_queue.queue.pause import collector_paused
from ipvm_queue.ucan import read
from ipvm_queue.ucan.secret import VEIL, open_outcome, open_result, veil

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ipvm_queue.crypto import Signer
    from ipvm_queue.ipld import Value
    from ipvm_queue.plan import Plan
    from ipvm_queue.queue import WorkQueue
    from ipvm_queue.queue.counter import Counter
    from ipvm_queue.store import Header, Progress, Record, RedisBlocks, RedisRuns, Registry, State
    from ipvm_queue.ucan import Receipt

_TICK: Final = 1.0
_AWAY: Final = 10.0  # seconds; a broker that is started anew is back within them


@dataclass(frozen=True, slots=True)
class RunEvent:
    """A task has ended: how, under which Task CID, and whether its receipt was found instead of made."""

    label: str
    state: State
    task: Link
    receipt: Link
    cached: bool


@dataclass(frozen=True, slots=True)
class Tick:
    """Nothing has happened for a second.

    `idle` names the queues that this run needs and no worker consumes, `away` says that the broker does not answer.
    """

    idle: tuple[str, ...]
    away: bool = False


class _Receipts:
    """The receipts of several tasks, fetched together when the first of them is asked for."""

    def __init__(self, blocks: RedisBlocks, links: list[Link]) -> None:
        self._blocks = blocks
        self._links = links
        self._envelopes: dict[Link, bytes] = {}

    def read(self, link: Link) -> Receipt:
        """Return a receipt."""
        if not self._envelopes:
            self._envelopes = dict(zip(self._links, self._blocks.get_many(self._links), strict=True))
        return read(self._envelopes[link], trusted=True)


@dataclass(frozen=True, slots=True)
class TaskResult:
    """A task of a run. `state` is `waiting` until there is a receipt.

    The Result `out` of a `secret` task is veiled, `{"ok": {"secret": true}}`, until `reveal` opens what is `sealed`.
    `ok` and `error` open it by themselves.
    """

    label: str
    task: Link
    state: State | str
    receipt: Link | None = None
    out: dict[str, Value] | None = None
    cached: bool = False
    receipts: _Receipts | None = field(default=None, repr=False, compare=False)
    secret: bool = False
    sealed: dict[str, Value] | None = field(default=None, repr=False, compare=False)
    reader: Callable[[], Signer] | None = field(default=None, repr=False, compare=False)
    opened: dict[str, Any] | None = field(default=None, repr=False, compare=False)

    @property
    def worker(self) -> str | None:
        """The DID of who ran it and signed the receipt."""
        signed = self._signed()
        return None if signed is None else signed.issuer

    @property
    def meta(self) -> dict[str, Any]:
        """What the receipt says of how it ran: gas and engine."""
        if self.opened is not None:
            return self.opened
        signed = self._signed()
        return {} if signed is None else signed.meta

    def _signed(self) -> Receipt | None:
        if self.receipt is None or self.receipts is None:
            return None
        return self.receipts.read(self.receipt)

    @property
    def ok(self) -> Value:
        """The value of an `ok` Result; raises `UsageError` for any other, and for a secret that is another's."""
        return self._branch("ok")

    @property
    def error(self) -> Value:
        """The value of an `error` Result; raises `UsageError` for any other, and for a secret that is another's."""
        return self._branch("error")

    def _branch(self, branch: str) -> Value:
        if self.out is None or branch not in self.out:
            raise UsageError(f"task {self.label!r} has no {branch}: it is {self.state}", task=self.label)
        out = self.reveal().out
        return None if out is None else out[branch]

    def reveal(self) -> TaskResult:
        """Return this with its secret opened, as its owner may; raises `UsageError` for anybody else."""
        if self.sealed is None or self.reader is None:
            return self
        with yours(f"the result of {self.label!r}"):
            found = open_result(self.reader(), self.task, self.sealed)
        return replace(self, out=found.out, opened=found.meta, sealed=None)


@contextmanager
def yours(what: str) -> Iterator[None]:
    """Raise `UsageError` where somebody opens a secret that is sealed for others."""
    try:
        yield
    except WrongKeyError as error:
        hint = "it is opened with the key that signed the job: --key FILE"
        raise UsageError(f"{what} is secret, and this is not its owner's key", hint=hint) from error


@dataclass(frozen=True, slots=True)
class RunSummary:
    """A run in a list."""

    id: str
    status: str
    submitted: datetime
    tasks: int
    left: int
    failed: int
    requestor: str


def summarise(header: Header) -> RunSummary:
    """Return a run's header as a line of a list."""
    submitted = datetime.fromtimestamp(header.submitted / 1000, UTC)
    return RunSummary(header.run, header.status, submitted, header.count, header.left, header.failed, header.requestor)


class Stores(NamedTuple):
    """What a run is looked at through."""

    runs: RedisRuns
    blocks: RedisBlocks
    registry: Registry
    queue: WorkQueue
    counter: Counter
    reader: Callable[[], Signer]


class Run:
    """A run on the queue; `run["label"].ok` is a task's value. Made by `Client.submit` and `Client.run`."""

    def __init__(self, run: str, plan: Plan, stores: Stores) -> None:
        self.id = run
        self.plan = plan
        self.workflow = plan.document
        self._known: dict[int, Record] = {}
        self._runs, self._blocks, self._registry, self._queue, self._counter, self._reader = stores

    def __repr__(self) -> str:
        return f"Run({self.id})"

    @property
    def status(self) -> str:
        """`running`, `ok`, `error`, `in-doubt` or `cancelled`."""
        return self._runs.header(self.id).status

    @property
    def reason(self) -> str:
        """Why the run was cancelled, as far as somebody said."""
        return self._runs.header(self.id).reason

    @property
    def outcome(self) -> dict[str, Value] | None:
        """What the job's `catch` made of a failure, None where it made nothing.

        Raises `UsageError` where it is secret, and another's.
        """
        outcome = self._runs.header(self.id).outcome
        if outcome is None or not is_sealed(outcome):
            return None if outcome is None else decode(outcome)
        with yours("the outcome"):
            return open_outcome(self._reader(), self.id, outcome)

    @property
    def seen_outcome(self) -> dict[str, Value] | None:
        """The outcome as anybody may see it: veiled where it is secret."""
        outcome = self._runs.header(self.id).outcome
        return VEIL if outcome is not None and is_sealed(outcome) else self.outcome

    def events(self, *, timeout: float | None = None) -> Iterator[RunEvent | Tick]:
        """Yield every task of the run as it ends, from the run's start to its end; a `Tick` a second in between.

        Raises `WaitTimeoutError` when `timeout` seconds are over before the run is, `UnavailableError` when the broker
        stays away, or has come back without the run.
        """
        seen: set[int] = set()
        yield from self._fresh(list(range(self.plan.count)), seen, only_cached=True)
        for each in self._progress(timeout):
            if isinstance(each, Tick):
                yield each
            else:
                settled = [node for node in each.settled if node < self.plan.count]
                yield from self._fresh(settled, seen)

    def wait(self, timeout: float | None = None) -> Run:
        """Return when the run is over; raises what `events` raises."""
        self._labels()  # while there is nothing else to do
        for _ in self._progress(timeout):
            pass
        return self

    def _progress(self, timeout: float | None) -> Iterator[Progress | Tick]:
        """Yield the entries of the run's event stream to its end, or a `Tick` for a second without one."""
        deadline = None if timeout is None else monotonic() + timeout
        position = b"0"
        answered = monotonic()
        over = False
        while True:
            patience = _TICK if deadline is None else min(_TICK, deadline - monotonic())
            if patience <= 0:
                raise WaitTimeoutError(
                    f"run {self.id} goes on after {timeout:g} seconds", hint=f"ipvm run watch {self.id}", run=self.id
                )
            try:
                entries = list(self._runs.progress(self.id, position, patience))
                quiet = None if entries else Tick(self._idle())
                ended = not entries and self._is_over()
            except UnavailableError as error:
                if monotonic() - answered > _AWAY:
                    hint = f"when it is back: ipvm run watch {self.id}"
                    raise UnavailableError(error.message, hint=hint, run=self.id) from error
                yield Tick((), away=True)
                sleep(patience)
                continue
            answered = monotonic()
            if quiet is not None:
                if over:  # and no entry said so: the stream has lapsed
                    return
                over = ended
                yield quiet
            for entry in entries:
                if entry.record is not None and entry.record.state == "ok":  # what went wrong may be looked at again
                    self._known[entry.settled[0]] = entry.record
                yield entry
                if entry.end is not None:
                    return
                position = entry.position

    def _is_over(self) -> bool:
        """Whether the run has ended; raises `UnavailableError` where the broker has lost it."""
        try:
            return self.status != "running"
        except UsageError as error:
            raise UnavailableError(
                f"the broker has lost run {self.id}",
                hint="submit the job again; ipvm doctor says whether the broker keeps what it holds",
                run=self.id,
            ) from error

    def cancel(self, reason: str = "") -> str:
        """End the run before its time; tasks that have not begun never will. Return the state it was in.

        Raises `RefusedError` where the run is somebody else's.
        """
        return self._counter.cancel(self.id, reason)

    def resume(self) -> None:
        """Open the run again from its plan and the receipts that it has; tasks that have ended do not run again."""
        self._queue.resume(self.id, self.plan, self._runs.header(self.id).requestor)

    def __getitem__(self, label: str) -> TaskResult:
        """Return a task by its label; raises `UsageError` for a label that the job does not have."""
        number = self._labels().get(label)
        if number is None:
            raise UsageError(f"run {self.id} has no task {label!r}", hint="ipvm run show lists them")
        return self._results([number])[0]

    def _labels(self) -> dict[str, int]:
        with collector_paused():
            return self.plan.labels

    def results(self) -> dict[str, TaskResult]:
        """Return all tasks by label, in plan order."""
        return {result.label: result for result in self._results(list(range(self.plan.count)))}

    def _results(self, numbers: list[int]) -> list[TaskResult]:
        records = self._records(numbers)
        receipts = _Receipts(self._blocks, [record.receipt for record in records if record is not None])
        return [self._result(number, record, receipts) for number, record in zip(numbers, records, strict=True)]

    def _records(self, numbers: list[int]) -> list[Record | None]:
        if len(numbers) == 1 and numbers[0] in self._known:
            return [self._known[numbers[0]]]
        return self._runs.records(self.id, numbers) if numbers else []

    def _result(self, number: int, record: Record | None, receipts: _Receipts) -> TaskResult:
        node = self.plan.outline[number]
        if record is None:
            return TaskResult(node.label, node.task, "waiting", secret=node.secret)
        out = record.result
        if isinstance(out, Link):
            out = decode(self._blocks.get(out))
        found = TaskResult(node.label, node.task, record.state, record.receipt, out, record.cached, receipts)
        if not node.secret or record.state == "skipped":
            return found
        return replace(found, secret=True, out=veil(out), sealed=out, reader=self._reader)

    def _fresh(self, nodes: list[int], seen: set[int], *, only_cached: bool = False) -> Iterator[RunEvent]:
        nodes = [node for node in nodes if node not in seen]
        for number, record in zip(nodes, self._records(nodes), strict=True):
            if record is None or (only_cached and not record.cached):
                continue
            seen.add(number)
            node = self.plan.outline[number]
            yield RunEvent(node.label, record.state, node.task, record.receipt, record.cached)

    def _idle(self) -> tuple[str, ...]:
        consumed = {queue for worker in self._registry.workers() for queue in worker.queues}
        return tuple(queue for queue in self.plan.queues if queue not in consumed)
