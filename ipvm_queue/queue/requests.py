"""What goes to the gate: invocations addressed to the queue, each in a container with all that it needs.

(the work-queue diagram: 8 and 9 push a job, 10 asks for work)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from ipvm_queue.ipld import Link
from ipvm_queue.ucan import Container, Invocation

if TYPE_CHECKING:
    from ipvm_queue.crypto import Signer
    from ipvm_queue.ipld import Value
    from ipvm_queue.queue.proofs import Proofs

RUN: Final = "/ipvm/run"
PUSH: Final = "/queue/push"
POP: Final = "/queue/pop"
HAND_OUT: Final = "/queue/handout"
CANCEL: Final = "/queue/cancel"
RECEIPTS: Final = PUSH + "/receipts"
EXCHANGE: Final = "/queue/exchange"
PROXY_SIGN: Final = "/ucan/proxy/sign"
GATE_QUEUE: Final = "ipvm.gate"  # the Celery queue that gates are known by; nothing is sent to it
NO_REQUEST: Final = Link.of(b"")  # what an answer names to something in which no request is found
SECONDS: Final = 300  # how long a request is good, beside the difference of clocks


class Request(NamedTuple):
    """An invocation for the queue, and the container that it travels in."""

    invocation: Invocation
    container: Container


def push(
    signer: Signer,
    queue: str,
    service: str,
    job: Link,
    proofs: Proofs,
    *,
    now: int,
    lifetime: int,
    nonce: bytes | None = None,
) -> Request:
    """Return the push (9) of a job: "(signer) has (queue) take what (signer) has (service) run (8)".

    `job` is the CID of the signed document, `lifetime` how many seconds it may run, `nonce` that of 8 where it
    is to be none at random. Raises `UcanError` where the proofs let the signer do neither.
    """
    run_chain = proofs.chain(service, signer.did, RUN, now=now)
    push_chain = proofs.chain(queue, signer.did, PUSH, now=now)
    asked = Invocation.issue(
        signer,
        service,
        RUN,
        {"job": job},
        [each.link for each in run_chain],
        expiration=now + lifetime,
        issued_at=now,
        nonce=nonce,
    )
    pushed = Invocation.issue(
        signer,
        queue,
        PUSH,
        {"inv": asked.link},
        [each.link for each in push_chain],
        expiration=now + SECONDS,
        issued_at=now,
    )
    return Request(pushed, Container.of([pushed.data, asked.data, *proofs.tokens.values()]))


class Stall(NamedTuple):
    """Where a worker takes work: its Celery node name, the queues, how many processes, and its broker's user if any."""

    name: str
    queues: list[str]
    slots: int
    user: str = ""


def pop(signer: Signer, queue: str, proofs: Proofs, stall: Stall, *, now: int) -> Request:
    """Return the pop (10) of a worker: "(signer) has (queue) hand it work at (stall)"."""
    chain = proofs.chain(queue, signer.did, POP, now=now)
    args: dict[str, Value] = {"name": stall.name, "queues": list(stall.queues), "slots": stall.slots}
    if stall.user:
        args["user"] = stall.user
    asked = Invocation.issue(
        signer, queue, POP, args, [each.link for each in chain], expiration=now + SECONDS, issued_at=now
    )
    return Request(asked, Container.of([asked.data, *proofs.tokens.values()]))


def hand_out(signer: Signer, queue: str, run: str, pop: Link, *, now: int) -> Request:
    """Return a worker's request to have a run handed to it under a pop of its own."""
    return _own(signer, queue, HAND_OUT, {"run": run, "pop": pop}, now)


def receipts(signer: Signer, queue: str, bundle: Link, proofs: Proofs, *, now: int) -> Request:
    """Return a request to take in receipts of another queue: "(signer) has (queue) keep what (bundle) proves"."""
    chain = proofs.chain(queue, signer.did, RECEIPTS, now=now)
    asked = Invocation.issue(
        signer,
        queue,
        RECEIPTS,
        {"bundle": bundle},
        [each.link for each in chain],
        expiration=now + SECONDS,
        issued_at=now,
    )
    return Request(asked, Container.of([asked.data, *proofs.tokens.values()]))


def cancel(signer: Signer, queue: str, run: str, reason: str, *, now: int) -> Request:
    """Return a requestor's word that its run is to end."""
    return _own(signer, queue, CANCEL, {"run": run, "reason": reason}, now)


def exchange(signer: Signer, queue: str, jwt: str, *, now: int) -> Request:
    """Return a classic wallet's request to have a JWT of UCAN 0.8 exchanged for a delegation of UCAN 1.0."""
    return _own(signer, queue, EXCHANGE, {"jwt": jwt}, now)


def _own(signer: Signer, queue: str, command: str, args: dict[str, Value], now: int) -> Request:
    asked = Invocation.issue(signer, signer.did, command, args, audience=queue, expiration=now + SECONDS, issued_at=now)
    return Request(asked, Container.of([asked.data]))
