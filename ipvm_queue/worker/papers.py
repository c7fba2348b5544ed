"""Reading a run's papers: who asked for the job, who pushed it, and that the queue has handed it to this worker.

What the gate has looked at before is looked at again here, so that a worker runs nothing on the word of the store:
8 invokes `/ipvm/run` on the service for exactly the plan's document, 9 invokes `/queue/push` on the queue for 8, and
11 is the queue's own receipt of this worker's pop (10) that names all three, and the plan. (UCAN Invocation 1.0
"Validation")
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from ipvm_queue.errors import CodecError
from ipvm_queue.ipld import Link
from ipvm_queue.queue import Proofs
from ipvm_queue.queue.requests import PROXY_SIGN, PUSH, RUN
from ipvm_queue.ucan import (
    Container,
    Delegation,
    InvalidClaimError,
    InvalidSignatureError,
    Invocation,
    MalformedArgumentsError,
    MalformedError,
    UnavailableProofError,
    read,
)
from ipvm_queue.ucan.proof import is_same

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from ipvm_queue.store import Papers
    from ipvm_queue.ucan import Validator


class Standing(NamedTuple):
    """A worker's place on a queue: the pop that it works under (10), and all tokens that came with it, by CID."""

    pop: Invocation
    tokens: Mapping[Link, bytes]


@dataclass(frozen=True, slots=True)
class Asked:
    """A job as it was asked for: its invocation (8), the push (9), and every token that was sent along."""

    job: Invocation
    push: Invocation
    tokens: Mapping[Link, bytes]

    @property
    def service(self) -> str:
        """The DID that the job is done for."""
        return self.job.sub


class Handed(NamedTuple):
    """A run in this worker's hands: the CID of the queue's receipt that says so (11), good until a Unix time.

    `plan` is that by which the queue has it worked on.
    """

    cause: Link
    until: int
    plan: Link


def read_asked(
    papers: Papers, document: Link, queue: str, validator: Validator, *, now: int, revoked: Collection[Link]
) -> Asked:
    """Return what a run was asked for with; raises the `UcanError` of the first rule that is broken.

    8 must hold now. 9 was for the moment of the push, which the queue's hand-out is witness of: its time is not looked
    at again.
    """
    tokens = Container.read(papers.tokens).tokens
    job = Invocation.parse(_token(tokens, papers.invocation))
    validator.invocation(job, tokens, now=now, audience=job.sub, revoked=revoked)
    if str(job.cmd) != RUN or job.args != {"job": document}:
        raise MalformedArgumentsError(f"this is not {RUN} of the job {document}", token=job.link)
    push = Invocation.parse(_token(tokens, papers.push))
    pushed = now if push.exp is None else min(now, push.exp)
    validator.invocation(push, tokens, now=pushed, audience=queue, revoked=revoked)
    if str(push.cmd) != PUSH or push.args != {"inv": job.link}:
        raise MalformedArgumentsError(f"this is not {PUSH} of the invocation {job.link}", token=push.link)
    return Asked(job, push, tokens)


def read_handed(data: bytes, asked: Asked, standing: Standing) -> Handed:
    """Return the hand-out in `data`; raises a `UcanError` unless it is the queue's, of this run, to this pop."""
    try:
        receipt = read(data)
    except CodecError as error:
        raise InvalidSignatureError(f"the hand-out cannot be relied on: {error.message}") from error
    pop = standing.pop
    if not is_same(receipt.issuer, pop.sub):
        raise InvalidClaimError(f"the hand-out is by {receipt.issuer}, not by the queue", token=receipt.link)
    names = {"inv": asked.job.link, "push": asked.push.link, "pop": pop.link}
    if receipt.ran != pop.task or receipt.out != {"ok": names}:
        raise MalformedArgumentsError("the hand-out is of another run, or to another pop", token=receipt.link)
    match receipt.meta:
        case {"lease": int() as until, "plan": Link() as plan} if type(until) is int:
            return Handed(receipt.link, until, plan)
    raise MalformedError("the hand-out does not say how long it is good, and by which plan", token=receipt.link)


def proxy_chain(
    standing: Standing, service: str, validator: Validator, *, now: int, revoked: Collection[Link]
) -> tuple[Delegation, ...]:
    """Return the delegations, the service's first, by which a worker may sign in a service's name (2 and 4).

    Raises the `UcanError` that says why there is none.
    """
    proofs = Proofs(standing.tokens, validator)
    return proofs.chain(service, standing.pop.iss, PROXY_SIGN, now=now, revoked=revoked)


def _token(tokens: Mapping[Link, bytes], link: Link) -> bytes:
    data = tokens.get(link)
    if data is None:
        raise UnavailableProofError(f"the token {link} was not sent along", token=link)
    return data
