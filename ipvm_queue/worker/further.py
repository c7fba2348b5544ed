"""Further jobs: a worker has the queue run a job, in the name of who asked for the one that it works on.

Whoever asked has let this worker do so, by delegations that were sent along with their own job: to push, to have jobs
run, and to have done what the further job's tasks do. The worker signs job and invocation; the gate and the workers
judge them like any other's, and what goes beyond those delegations is refused there. The receipt of the task that asked
carries the receipts beneath it. (the second diagram: Alice invokes Bob, who sub-invokes Carol)
"""

from __future__ import annotations

from contextlib import suppress
from time import monotonic, time
from typing import TYPE_CHECKING, Final, NamedTuple

from ipvm_queue.effects import EffectError, Safety, is_private, safety_of
from ipvm_queue.effects.further import ABILITY
from ipvm_queue.errors import DocumentError, IpvmError, RefusedError
from ipvm_queue.ipld import DAG_CBOR, Link, decode_own, encode
from ipvm_queue.plan import compile_plan
from ipvm_queue.queue import Proofs
from ipvm_queue.queue.counter import Counter
from ipvm_queue.queue.requests import push
from ipvm_queue.store import Inbox, Keys, RedisRuns, Registry
from ipvm_queue.submission import ModuleBook, complete
from ipvm_queue.ucan import UcanError
from ipvm_queue.ucan.proof import is_same
from ipvm_queue.workflow import DocumentLimits, read, sign, to_document

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ipvm_queue.crypto import Signer
    from ipvm_queue.effects import Call
    from ipvm_queue.ipld import Value
    from ipvm_queue.plan import Plan
    from ipvm_queue.queue import Request
    from ipvm_queue.settings import Settings
    from ipvm_queue.store import Record, RedisBlocks
    from ipvm_queue.store.connection import Broker
    from ipvm_queue.wasm import ModuleInfo
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

    def __init__(self, settings: Settings, signer: Signer, redis: Broker, blocks: RedisBlocks) -> None:
        keys = Keys(settings.queue)
        self._signer = signer
        self._blocks = blocks
        self._inbox = Inbox(redis, keys, max_bytes=settings.max_request_bytes)
        self._registry = Registry(redis, keys)
        self._runs = RedisRuns(redis, keys, lease=settings.lease, receipt_lifetime=settings.receipt_ttl)
        self._limits = DocumentLimits(settings.max_document_bytes, MOST, settings.max_depth)

    def run(self, job: dict[str, Value] | str, call: Call, asked: Asked) -> Came:
        """Run a job in the name of who `asked`, and wait for its end; raises `EffectError` where it has none."""
        workflow = self._workflow(job)
        document = encode(to_document(workflow))
        link = Link.of(document, DAG_CBOR)
        queue = asked.push.sub
        plan = compile_plan(workflow, queue, link, asked.service, safety=safety_of, private=is_private).plan
        if plan.owner is not None:
            raise _kind("has secrets: they would be sealed to the worker that has it run")
        patience = max(_TICK, call.deadline - monotonic())
        counter = Counter(self._signer, Proofs({}), self._inbox, self._registry, patience=patience)
        counter.trust(queue)
        try:
            answer = counter.ask(self._request(link, asked, call), {link: document})
        except RefusedError as error:
            raise _refused(f"the queue refuses it: {error.message}", str(error.fields.get("rule", ""))) from error
        run, inv = answer.get("run"), answer.get("inv")
        assert isinstance(run, str)  # noqa: S101 - the queue has signed it
        self._wait(run, call.deadline, counter)
        records = self._runs.records(run, list(range(plan.count)))
        receipts: list[Value] = [record.receipt for record in records if record is not None]
        sent = self._runs.header(run).grants
        out = self._result(run, plan, records, call.max_bytes)
        return Came(out, run, {"inv": inv, "sent": sent, "receipts": receipts})

    def _workflow(self, job: dict[str, Value] | str) -> Workflow:
        try:
            workflow = read(job, name="the further job", limits=self._limits)
            if workflow.signature is not None:
                raise _kind("is signed: whoever signed it has it run")
            modules: dict[Link, ModuleInfo] = {}
            workflow = sign(complete(workflow, ModuleBook(modules, {}, self._blocks)), self._signer)
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

    def _request(self, document: Link, asked: Asked, call: Call) -> Request:
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
        lifetime = max(1, int(call.deadline - monotonic()) + 1)
        try:
            return push(
                self._signer, asked.push.sub, asked.service, document, proofs, now=int(time()), lifetime=lifetime
            )
        except UcanError as error:
            raise _refused(
                f"{requestor} lets this worker have no jobs run in their name: {error.message}; "
                f"they may: ipvm delegate {mine} --push --command /ipvm/run --command /wasm/run",
                error.name,
            ) from error

    def _wait(self, run: str, deadline: float, counter: Counter) -> None:
        position = b"0"
        while (left := deadline - monotonic()) > 0:
            entries = list(self._runs.progress(run, position, min(_TICK, left)))
            if any(entry.end is not None for entry in entries):
                return
            if entries:
                position = entries[-1].position
            elif self._runs.header(run).status != "running":
                return
        with suppress(IpvmError):  # it may be over by now, or the gate be away: its invocation (8) ends by itself
            counter.cancel(run, "the task that asked for it is out of time")
        raise EffectError("job/time", f"the further job (run {run}) was not over in time", "requestor")

    def _result(self, run: str, plan: Plan, records: Sequence[Record | None], most: int) -> dict[str, Value]:
        """Return the values of all tasks that have one, or the first failure; `most` counts in bytes."""
        ended = {plan.node(number).label: record for number, record in enumerate(records) if record is not None}
        header = self._runs.header(run)
        if header.status == "ok":
            return {"ok": self._values({label: each for label, each in ended.items() if each.state == "ok"}, most)}
        first = self._runs.first_failed(run)
        label = "" if first is None else plan.node(first).label
        if label not in ended:
            message = f"the further job (run {run}) was {header.status}: {header.reason}"
            raise EffectError("job/ended", message, "requestor")
        message = f"{label!r} of the further job (run {run}) failed"
        failure = {"code": "job/failed", "message": message, "fault": "requestor", "failed": label}
        return {"error": {**failure, "error": self._out(ended[label])["error"]}}

    def _values(self, ended: Mapping[str, Record], most: int) -> dict[str, Value]:
        found: dict[str, Value] = {}
        for label, record in ended.items():
            found[label] = out = self._out(record)["ok"]
            most -= len(encode(out))
            if most < 0:
                raise EffectError(
                    "job/size", "the values of the further job are larger than an answer may be", "requestor"
                )
        return found

    def _out(self, record: Record) -> dict[str, Value]:
        out = record.result
        return decode_own(self._blocks.get(out)) if isinstance(out, Link) else out  # type: ignore[no-any-return]


def _kind(what: str) -> EffectError:
    return EffectError("job/kind", f"the further job {what}", "requestor", sent=False)


def _refused(message: str, rule: str) -> EffectError:
    return EffectError("job/refused", f"{message} ({rule})", "requestor", evidence={"rule": rule}, sent=False)
