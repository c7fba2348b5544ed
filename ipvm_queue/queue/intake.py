"""Jobs at the gate (8 and 9): each is judged by itself, and those that may run are entered together.

What is judged touches no store but for blocks that a job does not bring. Entering takes one round trip however many
jobs there are: for each, in one step, its invocations are claimed, so that none comes twice, what is known of its Tasks
is looked up, and if that is nothing the run is opened and the request answered. It takes some more for those of which
something is known, that have more than a thousand Tasks, or that are large. All of it may be done again, by this gate
or another, and changes nothing then.
"""

from __future__ import annotations

from time import time
from typing import TYPE_CHECKING, Final, NamedTuple

from ipvm_queue.errors import DocumentError, IpvmError, RefusedError, UnavailableError
from ipvm_queue.ipld import Link
from ipvm_queue.queue.accept import accept_push
from ipvm_queue.queue.let_in import LetIn, run_of, write_answer
from ipvm_queue.queue.push import Admission, Filed
from ipvm_queue.store import ByRequest, Opened, Repeated
from ipvm_queue.store.replays import WITHDRAWN
from ipvm_queue.ucan import LEEWAY, InvalidSignatureError, MalformedError, ReplayError, issue
from ipvm_queue.ucan.meter import Meter
from ipvm_queue.ucan.proof import is_same
from ipvm_queue.workflow import DocumentLimits, read

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ipvm_queue.crypto import Signer
    from ipvm_queue.ipld import Value
    from ipvm_queue.queue.accept import Brought, Moment, Push
    from ipvm_queue.queue.proofs import Proofs
    from ipvm_queue.queue.push import WorkQueue
    from ipvm_queue.store import Lease, RedisBlocks
    from ipvm_queue.store.transitions import Outcome
    from ipvm_queue.ucan import Invocation
    from ipvm_queue.workflow import Workflow

_MOST_HANDED: Final = 8


class TakenBackError(IpvmError):
    """Raised for a request that nobody waits for any more: nothing is done, and nothing answered."""


class Judged(NamedTuple):
    """A job that may run, not entered yet: the request that brought it, its invocations 8 and 9, what it becomes."""

    request: str
    job: Invocation
    push: Invocation
    admission: Admission


class Intake:
    """Takes jobs in for the queue whose key is `signer`'s; `proofs` are its own.

    `complete` chooses functions for tasks that name none.
    """

    def __init__(
        self,
        signer: Signer,
        proofs: Proofs,
        work: WorkQueue,
        blocks: RedisBlocks,
        *,
        limits: DocumentLimits,
        complete: Callable[[Workflow, Mapping[Link, bytes]], Workflow],
    ) -> None:
        self._signer = signer
        self._proofs = proofs
        self._work = work
        self._blocks = blocks
        self._limits = limits
        self._complete = complete

    def judge(self, asked: Invocation, brought: Brought, moment: Moment, live: Sequence[Lease]) -> Judged:
        """Return a job that may run; raises the `IpvmError` of its refusal. `live` are the leases of the workers."""
        accepted = accept_push(asked, brought.tokens, self._proofs, moment)
        blocks = brought.blocks()
        document = blocks.get(accepted.document)
        if document is None:
            document = self._blocks.get(accepted.document)
        workflow = self._complete(self._workflow(accepted, document), blocks)
        run = run_of(accepted.job)
        compiled = self._work.compile(run, workflow, accepted.document, subject=moment.queue, service=accepted.job.sub)
        free: set[str] = set()
        meter = Meter.of(len(document))
        for number, node in enumerate(compiled.plan):
            if number == compiled.plan.barrier:
                continue  # the queue's own, and does nothing
            if node.pure and node.command in free:
                continue
            for command, args in self._work.asked(node):
                if command not in free and accepted.grants.allow(
                    command, args, now=moment.now, revoked=moment.revoked, promises=True, meter=meter
                ):
                    free.add(command)
        let_in = LetIn(run, compiled.plan.link, accepted.job.link)
        queues = compiled.plan.queues
        fit = [lease for lease in live if lease.until > moment.now and not set(lease.queues).isdisjoint(queues)]
        papers = Filed(
            requestor=accepted.job.iss,
            invocation=accepted.job.link,
            push=accepted.push.link,
            tokens=brought.container,
            document=document,
            answer=write_answer(self._signer, asked, let_in, now=moment.now),
            handed=self._handed(let_in, accepted.push.link, Link.of(brought.container), fit, now=moment.now),
        )
        kept = {cid: data for cid, data in blocks.items() if data != document}
        admission = Admission(run, compiled, papers, kept, free)
        return Judged(brought.request, accepted.job, accepted.push, admission)

    def enter(self, jobs: Sequence[Judged], gate: str) -> list[bytes | IpvmError | None]:
        """Open the runs of jobs that may run, whose requests a gate has.

        Return for each its signed answer, or why it is refused, or None where it has been answered.
        """
        asked = [(each.admission, ByRequest(each.request, gate, claims_of(each.job, each.push))) for each in jobs]
        return [_answer(each, outcome) for each, outcome in zip(jobs, self._work.open(asked), strict=True)]

    def _workflow(self, accepted: Push, document: bytes) -> Workflow:
        """Return the signed workflow that 8 names; raises where it is another form, or another's."""
        try:
            workflow = read(document, limits=self._limits)
        except DocumentError as error:
            raise RefusedError(
                error.message, hint=error.hint, rule="document", faults=error.fields["faults"]
            ) from error
        if workflow.signature is None or not is_same(workflow.signature.issuer, accepted.job.iss):
            raise InvalidSignatureError(
                f"the job is not signed by {accepted.job.iss}, who has it run", token=accepted.job.link
            )
        if workflow.document != document:
            raise MalformedError("the job is not the DAG-CBOR of {header, jobs, signature}", token=accepted.job.link)
        return workflow

    def _handed(self, job: LetIn, push: Link, sent: Link, leases: Sequence[Lease], *, now: int) -> dict[Link, bytes]:
        """Return hand-outs (11) of a run to the workers that are there, where they are not too many."""
        if len(leases) > _MOST_HANDED:
            return {}
        return {lease.pop: hand_out(self._signer, lease, job, push, sent, now=now) for lease in leases}


def _answer(job: Judged, outcome: Outcome) -> bytes | IpvmError | None:
    match outcome:
        case UnavailableError():
            return outcome
        case Repeated(key):
            return not_claimed(key, job.job, job.push)
        case Opened(answered=True):
            return None
    return job.admission.papers.answer


def hand_out(signer: Signer, lease: Lease, job: LetIn, push: Link, sent: Link, *, now: int) -> bytes:
    """Return a hand-out (11) of a job that was let in to a lease's worker.

    `sent` is the container that 8 and 9 came in, where a reader finds what they need.
    """
    out: Value = {"ok": {"inv": job.inv, "push": push, "pop": lease.pop}}
    return issue(signer, lease.task, out, {"lease": lease.until, "plan": job.plan, "sent": sent}, now)[1]


def claims_of(*invocations: Invocation) -> dict[bytes, int]:
    """Return what invocations are told by when they come again, and until when (Unix seconds) that matters."""
    return {each.replay_key: (each.exp or int(time())) + LEEWAY + 1 for each in invocations}


def not_claimed(key: bytes, *invocations: Invocation) -> IpvmError:
    """Return the refusal of what has come before, that of the invocations whose key it is, or was taken back."""
    if key == WITHDRAWN:
        return TakenBackError("the request has been taken back")
    token = next(each.link for each in invocations if each.replay_key == key)
    return ReplayError("this invocation has come before", token=token)
