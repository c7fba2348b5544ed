"""What the queue has let in, in its own words: its signed answer to a push (9), which stays with the run.

Whoever works on a run writes to it, so that what the store says of a run is not the queue's word. The answer is: it
says which run, for which invocation (8), by which plan. Every hand-out (11) names the plan again.
"""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, NamedTuple

from ipvm_queue.errors import CodecError
from ipvm_queue.ipld import Link
from ipvm_queue.store.keys import RUN_DIGITS
from ipvm_queue.ucan import InvalidClaimError, InvalidSignatureError, issue, read
from ipvm_queue.ucan.proof import is_same

if TYPE_CHECKING:
    from ipvm_queue.crypto import Signer
    from ipvm_queue.ucan import Invocation


class LetIn(NamedTuple):
    """A job that was let in: its run's id, and the CIDs of its plan and of its invocation (8)."""

    run: str
    plan: Link
    inv: Link


def run_of(job: Invocation) -> str:
    """Return the id of the run that an invocation (8) asks for: one and the same however often it is opened."""
    return sha256(job.token.body).hexdigest()[:RUN_DIGITS]


def write_answer(signer: Signer, push: Invocation, let_in: LetIn, *, now: int) -> bytes:
    """Return the queue's answer to a push: "(signer) has let (let_in) in"."""
    return issue(signer, push.task, {"ok": let_in._asdict()}, {}, now)[1]


def read_answer(data: bytes | None, queue: str, run: str) -> LetIn:
    """Return what the queue has said of a run; raises a `UcanError` unless it is the queue's answer, of this run."""
    try:
        receipt = read(data or b"")
    except CodecError as error:
        raise InvalidSignatureError(f"nothing says that the queue has let run {run} in: {error.message}") from error
    if not is_same(receipt.issuer, queue):
        raise InvalidClaimError(f"{receipt.issuer} has let run {run} in, and not the queue", token=receipt.link)
    match receipt.out:
        # a receipt of a task has a cause
        case {"ok": {"run": str() as said, "plan": Link() as plan, "inv": Link() as inv, **rest}} if (
            said == run and not rest and receipt.cause is None
        ):
            return LetIn(run, plan, inv)
    raise InvalidClaimError(f"the queue's answer is none that lets run {run} in", token=receipt.link)
