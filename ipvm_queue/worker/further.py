"""Further jobs: a worker has the queue run a job, in the name of who asked for the one that it works on.

Whoever asked has let this worker do so, by delegations that were sent along with their own job: to push, to have jobs
run, and to have done what the further job's tasks do. The worker signs job and invocation; the gate and the workers
judge them like any other's, and what goes beyond those delegations is refused there. The receipt of the task that asked
carries the receipts beneath it. (the second diagram: Alice invokes Bob, who sub-invokes Carol)

No process waits for a further job: its run is noted, then pushed, and the task put aside until that is over.
"""

from __future__ import annotations

from time import monotonic, time
from typing import TYPE_CHECKING, Final, NamedTuple

from ipvm_queue.effects import EffectError, Safety, WaitingError, is_private, safety_of
from ipvm_queue.effects.further import ABILITY
from ipvm_queue.errors import DocumentError, LimitError, RefusedError
from ipvm_queue.ipld import DAG_CBOR, Link, encode
from ipvm_queue.plan import compile_plan
from ipvm_queue.queue import Proofs
from ipvm_queue.queue.beneath import FAILED, child_of, nonce_for
from ipvm_queue.queue.counter import Counter
from ipvm_queue.queue.let_in import run_of
from ipvm_queue.queue.requests import Request, push
from ipvm_queue.store import Inbox, Keys, Note, RedisRuns, Registry
from ipvm_queue.submission import ModuleBook, complete
from ipvm_queue.ucan import Container, Invocation, ReplayError, UcanError
from ipvm_queue.ucan.memo import Memo
from ipvm_queue.ucan.proof import is_same
from ipvm_queue.worker.results import inline
from ipvm_queue.workflow import DocumentLimits, read, sign

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ipvm_queue.crypto import Signer
    from ipvm_queue.effects import Call
    from ipvm_queue.ipld import Value
    from ipvm_queue.plan import Plan
    from ipvm_queue.settings import Settings
    from ipvm_queue.store import Header, Place, Record, RedisBlocks, RedisFurther
    from ipvm_queue.store.connection import Broker
    from ipvm_queue.worker.papers import Asked
    from ipvm_queue.workflow import Workflow

MOST: Final = 256  # tasks of a further job: their receipts are named in one
_TICK: Final = 1.0


class Came(NamedTuple):
    """What became of a further job: a Result, its run, and what the receipt says of those beneath it.

    `beneath` is `{"inv": &8, "sent": &container, "receipts": [&receipt…]}`.
    """

    out: dict[str, Value]
    run: str
    beneath: dict[str, Value]


class Agent:
    """Has further jobs run for one worker process."""

    def __init__(
        self, settings: Settings, signer: Signer, redis: Broker, blocks: RedisBlocks, further: RedisFurther
    ) -> None:
        keys = Keys(settings.queue)
        self._signer = signer
        self._blocks = blocks
        self._further = further
        self._inbox = Inbox(redis, keys, max_bytes=settings.max_request_bytes)
        self._registry = Registry(redis, keys)
        self._runs = RedisRuns(redis, keys, lease=settings.lease, receipt_lifetime=settings.receipt_ttl)
        self._limits = DocumentLimits(settings.max_document_bytes, MOST, settings.max_depth)

    def run(self, job: dict[str, Value] | str, call: Call, asked: Asked, place: Place) -> Came:
        """Return what a job has come to, that is run in the name of who `asked` for a task at work at a `place`.

        Raises `WaitingError` until it is over, `EffectError` where it comes to nothing.
        """
        note = self._noted(job, call, asked, place)
        rest = note.until - time()
        waiting = self._further.wait(place, note.run, rest)
        if waiting == "unknown":
            self._push(note, asked, rest)
            waiting = self._further.wait(place, note.run, rest)
        match waiting:
            case "over":
                return self._came(note, asked, call.max_bytes)
            case "late":
                self._runs.cancel(note.run, "the task that asked for it is out of time")
                message = f"the further job (run {note.run}) was not over in time"
                raise EffectError("job/time", message, "requestor")
            case "unknown":
                raise EffectError("job/lost", "the further job is not on the queue", "runner", transient=True)
        raise WaitingError

    # Asking for it

    def _noted(self, job: dict[str, Value] | str, call: Call, asked: Asked, place: Place) -> Note:
        """Return which further run the task has: the one that is noted, or one that is noted now."""
        did = self._signer.did
        note = self._further.noted(place, did)
        if note is not None:
            return note
        try:
            note = self._further.note(place, did, self._prepare(job, call, asked))
        except LimitError as error:
            raise EffectError("job/many", error.message, "requestor", sent=False) from error
        if note is None:
            raise WaitingError
        return note

    def _prepare(self, job: dict[str, Value] | str, call: Call, asked: Asked) -> Note:
        """Sign a job and its invocation, and keep them where whoever comes to the task again finds them."""
        workflow = self._workflow(job, asked)
        document = workflow.document
        link = Link.of(document, DAG_CBOR)
        if self._plan(workflow, link, asked).owner is not None:
            raise _kind("has secrets: they would be sealed to the worker that has it run")
        lifetime = max(1, int(call.deadline - monotonic()) + 1)
        now = int(time())
        pushed, container = self._request(link, asked, nonce_for(asked.job.link, call.task), now, lifetime)
        sent = container.write()
        self._blocks.put_many({link: document, Link.of(sent): sent})
        invocation = Invocation.parse(container.tokens[pushed.args["inv"]])
        return Note(run_of(invocation), link, Link.of(sent), pushed.link, now + lifetime)

    def _workflow(self, job: dict[str, Value] | str, asked: Asked) -> Workflow:
        try:
            workflow = child_of(asked.job.args["job"], read(job, name="the further job", limits=self._limits))
            if workflow.signature is not None:
                raise _kind("is signed: whoever signed it has it run")
            workflow = sign(complete(workflow, ModuleBook(Memo(), {}, self._blocks)), self._signer)
        except DocumentError as error:
            raise EffectError("job/document", error.message, "requestor", sent=False) from error
        if workflow.catch is not None:
            raise _kind("has a 'catch': what fails in it is an error of the task that asks for it")
        if any(task.ability == ABILITY for task in workflow.tasks.values()):
            raise _kind("has a further job itself: only who asked for the first has let this worker run any")
        act = next((task.label for task in workflow.tasks.values() if safety_of(task) is Safety.COMMAND), None)
        if act is not None:
            raise _kind(f"has a command, {act!r}: commands belong into the job itself, behind all that can fail")
        return workflow

    def _plan(self, workflow: Workflow, document: Link, asked: Asked) -> Plan:
        queue, service = asked.push.sub, asked.service
        return compile_plan(workflow, queue, document, service, safety=safety_of, private=is_private).plan

    def _request(self, document: Link, asked: Asked, nonce: bytes, now: int, lifetime: int) -> Request:
        """Return the push of a further job, with what the requestor alone has let this worker do."""
        given = Proofs(asked.tokens)
        mine, requestor = self._signer.did, asked.job.iss
        proofs = Proofs(
            {
                each.link: each.data
                for each in given.delegations
                if not is_same(each.aud, mine) or is_same(each.iss, requestor)
            }
        )
        queue, service = asked.push.sub, asked.service
        try:
            return push(self._signer, queue, service, document, proofs, now=now, lifetime=lifetime, nonce=nonce)
        except UcanError as error:
            raise _refused(
                f"{requestor} lets this worker have no jobs run in their name: {error.message}; "
                f"they may: ipvm delegate {mine} --push --command /ipvm/run --command /wasm/run",
                error.name,
            ) from error

    def _push(self, note: Note, asked: Asked, seconds: float) -> None:
        """Hand a noted job to the gate. Where that has it already, it is the same one."""
        container = Container.read(self._blocks.get(note.sent))
        request = Request(Invocation.parse(container.tokens[note.push]), container)
        counter = Counter(self._signer, Proofs({}), self._inbox, self._registry, patience=max(_TICK, seconds))
        counter.trust(asked.push.sub)
        try:
            counter.ask(request, {note.document: self._blocks.get(note.document)})
        except RefusedError as error:
            rule = str(error.fields.get("rule", ""))
            if rule != ReplayError.name:
                raise _refused(f"the queue refuses it: {error.message}", rule) from error

    # What it came to

    def _came(self, note: Note, asked: Asked, most: int) -> Came:
        header = self._runs.header(note.run)
        plan = self._plan(read(self._blocks.get(note.document)), note.document, asked)
        records = self._runs.records(note.run, list(range(plan.count)))
        receipts: list[Value] = [record.receipt for record in records if record is not None]
        out = self._result(header, plan, records, most)
        return Came(out, note.run, {"inv": header.invocation, "sent": header.grants, "receipts": receipts})

    def _result(self, header: Header, plan: Plan, records: Sequence[Record | None], most: int) -> dict[str, Value]:
        """Return the values of all tasks that have one, or the first failure; `most` counts in bytes."""
        ended = {plan.node(number).label: record for number, record in enumerate(records) if record is not None}
        if header.status == "ok":
            return {"ok": self._values({label: each for label, each in ended.items() if each.state == "ok"}, most)}
        run, first = header.run, self._runs.first_failed(header.run)
        label = "" if first is None else plan.node(first).label
        if label not in ended:
            message = f"the further job (run {run}) was {header.status}: {header.reason}"
            raise EffectError("job/ended", message, "requestor")
        message = f"{label!r} of the further job (run {run}) failed"
        failure = {"code": FAILED, "message": message, "fault": "requestor", "failed": label}
        return {"error": {**failure, "error": inline(ended[label].result, self._blocks)["error"]}}

    def _values(self, ended: Mapping[str, Record], most: int) -> dict[str, Value]:
        found: dict[str, Value] = {}
        for label, record in ended.items():
            found[label] = out = inline(record.result, self._blocks)["ok"]
            most -= len(encode(out))
            if most < 0:
                raise EffectError(
                    "job/size", "the values of the further job are larger than an answer may be", "requestor"
                )
        return found


def _kind(what: str) -> EffectError:
    return EffectError("job/kind", f"the further job {what}", "requestor", sent=False)


def _refused(message: str, rule: str) -> EffectError:
    return EffectError("job/refused", f"{message} ({rule})", "requestor", evidence={"rule": rule}, sent=False)
