"""Whether who signed a receipt was entitled to: the service's word, the hand-out, the pop, the push and the job.

Each function is a step of the verification; it returns what it found, and raises a `Flaw` where it does not hold. A
step takes what was found before it, so that a bundle is walked from the receipt up. No step looks at today's clock:
every token is judged as at the time when it was used, which the queue's hand-out is witness of.
(the work-queue diagram, 8 to 13)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ipvm_queue.ipld import Link
from ipvm_queue.queue.requests import POP, PROXY_SIGN, PUSH, RUN
from ipvm_queue.queue.verdict import Flaw, Verdict
from ipvm_queue.ucan import LEEWAY
from ipvm_queue.ucan.proof import is_same
from ipvm_queue.ucan.receipt import COMMAND

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ipvm_queue.queue.members import Members
    from ipvm_queue.ucan import Authority, Invocation


class HandOut(NamedTuple):
    """The queue's word (11) that it handed a job to a pop: what it names, when, and until when it is good (Unix s)."""

    receipt: Invocation
    job: Link
    push: Link
    pop: Link
    at: int
    until: int


def issued(token: Invocation, name: str) -> int:
    """Return when a token says that it was issued (Unix s)."""
    if token.iat is None:
        raise Flaw(Verdict.MALFORMED, f"{name} does not say when it was issued")
    return token.iat


def service_word(members: Members, receipt: Invocation, saying: Sequence[Invocation]) -> Authority:
    """13s: the worker says the receipt in the service's name, and may. `saying` are the tokens that name it."""
    name = "the service's word (13s)"
    if not saying:
        raise members.absent(receipt.link, f"{name} for", lambda each: _says_nothing_here(each, members))
    token = next((each for each in saying if is_same(each.iss, receipt.iss)), None)
    if token is None:
        raise Flaw(Verdict.DELEGATED, f"{name} is {saying[0].iss}'s, the receipt is {receipt.iss}'s")
    members.used.add(token.link)
    found = members.authority(token, name, now=issued(receipt, "the receipt"), audience=token.sub)
    match token.args:
        case {"cmd": str(), "ran": [*ran], "rcpt": [*receipts], **rest} if not rest and len(ran) == len(receipts):
            place = receipts.index(receipt.link)
        case _:
            raise Flaw(Verdict.MALFORMED, f"{name} is not {{cmd, ran, rcpt}}, with as many Tasks as receipts")
    if ran[place] != receipt.args.get("ran"):
        verdict = Verdict.REORDERED if receipt.args.get("ran") in ran else Verdict.SWAPPED
        raise Flaw(verdict, f"{name} has the receipt beside the Task {ran[place]}")
    return found


def queue_between(word: Authority) -> list[str]:
    """2: return whom the service lets pass its signing on; the queue is one of them."""
    middle = [proof.aud for proof in word.proofs[:-1]]
    if not middle:
        raise Flaw(Verdict.DELEGATED, "the service lets the worker sign by itself: no queue stands between them")
    return middle


def hand_out(members: Members, receipt: Invocation, queues: Sequence[str]) -> HandOut:
    """11: the queue has handed a job to a pop."""
    name = "the hand-out (11)"
    if receipt.cause is None:
        raise Flaw(Verdict.MISSING, "the receipt names no hand-out")
    token = members.invocation(receipt.cause, COMMAND, name)
    members.verify(token, name)
    if not any(is_same(token.iss, queue) for queue in queues):
        raise Flaw(Verdict.DELEGATED, f"{name} is {token.iss}'s, whom the service does not let pass its signing on")
    if not is_same(token.sub, token.iss):
        raise Flaw(Verdict.DELEGATED, f"{name} is said for {token.sub}, by {token.iss}")
    at, until = issued(token, name), token.meta.get("lease")
    match token.args.get("out"):
        case {"ok": {"inv": Link() as job, "push": Link() as push, "pop": Link() as pop, **more}, **rest} if (
            not more and not rest and type(until) is int
        ):
            return HandOut(token, job, push, pop, at, until)
        case {"error": _}:
            raise Flaw(Verdict.DELEGATED, f"{name} is a refusal")
    raise Flaw(Verdict.MALFORMED, f"{name} does not name 8, 9 and 10, and how long it is good")


def pop(members: Members, receipt: Invocation, handed: HandOut) -> str:
    """10: the worker had asked the queue for work, and might."""
    name = "the pop (10)"
    queue = handed.receipt.iss
    token = members.invocation(handed.pop, POP, name)
    if str(token.cmd) != POP:
        raise Flaw(Verdict.SWAPPED, f"{name} is an invocation of {token.cmd}")
    if not is_same(token.iss, receipt.iss):
        raise Flaw(Verdict.SWAPPED, f"the job was handed to {token.iss}, the receipt is {receipt.iss}'s")
    found = members.authority(token, name, now=_at(token, handed.at), audience=queue)
    _check_proofs(found, handed.at, name)
    if handed.receipt.args.get("ran") != token.task:
        raise Flaw(Verdict.SWAPPED, "the hand-out answers another pop than the one that it names")
    if token.iat is not None and token.iat > handed.at + LEEWAY:
        raise Flaw(Verdict.EARLY, f"handed out at {handed.at}, before the pop at {token.iat}")
    return token.iss


def push(members: Members, handed: HandOut) -> str:
    """9: the job was pushed to the queue, by one who might."""
    name = "the push (9)"
    token = members.invocation(handed.push, PUSH, name)
    if str(token.cmd) != PUSH or token.args != {"inv": handed.job}:
        raise Flaw(Verdict.SWAPPED, f"{name} is not {PUSH} of the invocation {handed.job} that the hand-out names")
    members.authority(token, name, now=_at(token, handed.at), audience=handed.receipt.iss)
    if token.iat is not None and token.iat > handed.at + LEEWAY:
        raise Flaw(Verdict.EARLY, f"handed out at {handed.at}, before the push at {token.iat}")
    return token.iss


def job(members: Members, handed: HandOut, service: str) -> tuple[Authority, Link]:
    """8: the requestor has the service run a job, and might; return the authority, and the document's CID."""
    name = "the job (8)"
    token = members.invocation(handed.job, RUN, name)
    match token.args:
        case {"job": Link() as document, **rest} if not rest and str(token.cmd) == RUN:
            pass
        case _:
            raise Flaw(Verdict.SWAPPED, f"{name} is not {RUN} of a document")
    if not is_same(token.executor, service):
        raise Flaw(Verdict.SWAPPED, f"{name} is for {token.executor}, the receipt was said for {service}")
    found = members.authority(token, name, now=handed.at, audience=service)
    return found, document


def within(receipt: Invocation, handed: HandOut, seconds: float, inputs: Sequence[int]) -> str:
    """Check the order of things: handed out, then done, within the lease and the `seconds` that the task may take.

    `inputs` are when the receipts of the inputs were issued. Clocks may differ by a minute.
    """
    at = issued(receipt, "the receipt")
    if at < handed.at - LEEWAY:
        raise Flaw(Verdict.EARLY, f"the receipt is of {at}, the job was handed out at {handed.at}")
    if at > handed.until + seconds + LEEWAY:
        raise Flaw(Verdict.EXPIRED, f"the receipt is of {at}, the hand-out was good until {handed.until}")
    later = max(inputs, default=at)
    if later > at + LEEWAY:
        raise Flaw(Verdict.EARLY, f"the receipt is of {at}, one of its inputs of {later}")
    return f"handed out at {handed.at}, done at {at}, good until {handed.until}"


def _says_nothing_here(token: Invocation, members: Members) -> bool:
    said = token.args.get("rcpt")
    links = [link for link in said if isinstance(link, Link)] if isinstance(said, list) else []
    return str(token.cmd) == PROXY_SIGN and not any(link in members.invocations for link in links)


def _at(token: Invocation, handed: int) -> int:
    """Return the time that a request is judged at: it came before the hand-out, and before its own end."""
    return handed if token.exp is None else min(handed, token.exp)


def _check_proofs(found: Authority, at: int, name: str) -> None:
    for proof in found.proofs:
        if proof.exp is not None and at > proof.exp + LEEWAY:
            raise Flaw(Verdict.EXPIRED, f"a proof of {name} expired at {proof.exp}, before the hand-out at {at}")
