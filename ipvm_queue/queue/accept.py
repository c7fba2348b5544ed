"""What the gate looks at before it acts: the rules for a push (9, with 8 in it) and for a pop (10, with 3, 4 and 2).

Nothing here touches the store; replays are the caller's, for they are remembered with what is done.
(UCAN Invocation 1.0 "Validation"; the work-queue diagram 8 to 11)
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from ipvm_queue.ipld import Link
from ipvm_queue.queue.grants import Grants
from ipvm_queue.queue.proofs import Proofs
from ipvm_queue.queue.requests import CANCEL, EXCHANGE, HAND_OUT, POP, PROXY_SIGN, PUSH, RECEIPTS, RUN, Stall
from ipvm_queue.ucan import (
    LEEWAY,
    Container,
    ExpiredError,
    InvalidClaimError,
    InvalidSubjectError,
    Invocation,
    MalformedArgumentsError,
    MalformedError,
    RevokedError,
    UcanError,
    UnavailableProofError,
    Validator,
    read_revocation,
)
from ipvm_queue.ucan.proof import check_path, is_same
from ipvm_queue.ucan.revocation import REVOKE
from ipvm_queue.ucan.token import without_fragment

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from ipvm_queue.ucan import Delegation
    from ipvm_queue.ucan.revocation import Revocation

_COMMANDS = frozenset({PUSH, RECEIPTS, POP, HAND_OUT, CANCEL, REVOKE, EXCHANGE})
_INVOCATION = b"ucan/inv@"
_MAX_NAME = 256
_MAX_QUEUES = 16
_MAX_SLOTS = 4096


class Moment(NamedTuple):
    """When and by whom something is judged: the queue's DID, Unix seconds, the revoked delegations."""

    queue: str
    now: int
    revoked: Collection[Link]
    validator: Validator


class Brought(NamedTuple):
    """A request's tokens, and how to read the blocks that it brings: all of them checked against their CIDs."""

    request: str
    container: bytes
    tokens: Mapping[Link, bytes]
    blocks: Callable[[], Mapping[Link, bytes]]


class Push(NamedTuple):
    """A good push: 9, the job's invocation 8 in it, the CID of the signed document, and what tasks may do."""

    push: Invocation
    job: Invocation
    document: Link
    grants: Grants


class Pop(NamedTuple):
    """A good pop: 10, what the worker says of itself, and all delegations that it stands on."""

    pop: Invocation
    stall: Stall
    chain: list[Delegation]


def find_request(tokens: Mapping[Link, bytes], queue: str) -> Invocation:
    """Return the one invocation in a container that is addressed to the queue with a command of the gate's.

    Raises `MalformedError` where there is none, or more than one.
    """
    found = []
    for data in tokens.values():
        if _INVOCATION not in data:
            continue
        invocation = Invocation.parse(data)
        if str(invocation.cmd) in _COMMANDS and (
            is_same(invocation.executor, queue) or str(invocation.cmd) == REVOKE  # addressed to all whom it concerns
        ):
            found.append(invocation)
    if len(found) == 1:
        return found[0]
    if found:
        raise MalformedError(f"a request is one invocation for the queue, here are {len(found)}")
    invocations = [Invocation.parse(data) for data in tokens.values() if _INVOCATION in data]
    stray = next((each for each in invocations if str(each.cmd) in _COMMANDS), None)
    if stray is not None:  # say what is wrong with it, rather than that it is not there
        Validator().invocation(stray.data, tokens, now=_within(stray), audience=queue)
    raise MalformedError(f"there is no invocation for the queue {queue} here")


def _within(invocation: Invocation) -> int:
    return invocation.iat or invocation.exp or 0


def accept_push(push: Invocation, tokens: Mapping[Link, bytes], own: Proofs, moment: Moment) -> Push:
    """Return a push that may go on; raises the `UcanError` of the first rule that is broken.

    `own` are the queue's proofs: a service that has not let the queue sign for it (2) is not served.
    """
    moment.validator.invocation(push, tokens, now=moment.now, audience=moment.queue, revoked=moment.revoked)
    _check_command(push, PUSH)
    _check_subject(push, moment.queue)
    _check_ends(push)
    match push.args:
        case {"inv": Link() as link, **rest} if not rest:
            data = tokens.get(link)
        case _:
            raise MalformedArgumentsError(f"{PUSH} takes {{inv: link}}", token=push.link)
    if data is None:
        raise UnavailableProofError(f"the invocation {link} was not sent along", token=push.link)
    job = Invocation.parse(data)
    moment.validator.invocation(job, tokens, now=moment.now, audience=job.sub, revoked=moment.revoked)
    _check_command(job, RUN)
    _check_ends(job)
    if job.sub != without_fragment(job.sub):  # it is part of each Task, and the same work would be another
        raise InvalidSubjectError(f"the service is named without a fragment, not {job.sub}", token=job.link)
    match job.args:
        case {"job": Link() as document, **rest} if not rest and job.nonce:
            own.chain(job.sub, moment.queue, PROXY_SIGN, now=moment.now, revoked=moment.revoked)
            return Push(push, job, document, Grants(tokens, job.sub, job.iss, moment.validator))
    raise MalformedArgumentsError(f"{RUN} takes {{job: link}}, and a nonce of its own", token=job.link)


def accept_pop(pop: Invocation, tokens: Mapping[Link, bytes], own: Proofs, moment: Moment) -> Pop:
    """Return a pop that may be answered; raises the `UcanError` of the first rule that is broken.

    The worker shows, beside 3, a chain by which it signs in the name of a service that the queue serves (2 and 4).
    """
    authority = moment.validator.invocation(pop, tokens, now=moment.now, audience=moment.queue, revoked=moment.revoked)
    _check_command(pop, POP)
    _check_subject(pop, moment.queue)
    _check_ends(pop)
    if not pop.nonce:
        raise MalformedArgumentsError("a pop has a nonce of its own", token=pop.link)
    stall = _stall(pop)
    shown = Proofs(tokens, moment.validator)
    services = own.subjects(moment.queue, PROXY_SIGN, now=moment.now)
    refusal: UcanError | None = None
    stands_on = {each.link: each for each in authority.proofs}
    good = False
    for service in services:
        try:
            chain = shown.chain(service, pop.iss, PROXY_SIGN, now=moment.now, revoked=moment.revoked)
        except UcanError as error:
            refusal = refusal or error
        else:
            stands_on |= {each.link: each for each in chain}
            good = True
    if not good:
        raise refusal or InvalidClaimError("the queue serves nobody: no service lets it sign", token=pop.link)
    return Pop(pop, stall, list(stands_on.values()))


def _stall(pop: Invocation) -> Stall:
    match pop.args:
        case {"name": str() as name, "queues": [*queues], "slots": int() as slots, **rest} if (
            not rest.keys() - {"user"} and 0 < len(name) <= _MAX_NAME and type(slots) is int and 0 < slots <= _MAX_SLOTS
        ):
            texts = [queue for queue in queues if isinstance(queue, str)]
            user = rest.get("user", "")
            if len(texts) == len(queues) and 0 < len(texts) <= _MAX_QUEUES and isinstance(user, str):
                return Stall(name, texts, slots, user)
    raise MalformedArgumentsError(f"{POP} takes {{name, queues: 1 to {_MAX_QUEUES}, slots}}", token=pop.link)


def accept_receipts(asked: Invocation, tokens: Mapping[Link, bytes], moment: Moment) -> Link:
    """Return the bundle that a request to take in receipts names; who may push may hand receipts over too."""
    moment.validator.invocation(asked, tokens, now=moment.now, audience=moment.queue, revoked=moment.revoked)
    _check_command(asked, RECEIPTS)
    _check_subject(asked, moment.queue)
    _check_ends(asked)
    match asked.args:
        case {"bundle": Link() as bundle, **rest} if not rest:
            return bundle
    raise MalformedArgumentsError(f"{RECEIPTS} takes {{bundle: link}}", token=asked.link)


def accept_own(asked: Invocation, tokens: Mapping[Link, bytes], moment: Moment) -> Invocation:
    """Return a request that a principal makes on its own behalf (`iss` is `sub`), addressed to the queue."""
    moment.validator.invocation(asked, tokens, now=moment.now, audience=moment.queue, revoked=moment.revoked)
    _check_ends(asked)
    return asked


def accept_revocation(asked: Invocation, tokens: Mapping[Link, bytes], own: Proofs, moment: Moment) -> Revocation:
    """Return what is taken back; raises the `UcanError` of the first rule that is broken.

    The queue and the services that it serves take back what they gave for good, lapsed or not: old receipts are judged
    by it, too. Anybody else takes back only what hangs on one of these, by a path that still holds, and until it would
    have lapsed anyway; else whoever can reach the inbox could have the queue remember any number of things.
    """
    authority = moment.validator.invocation(asked, tokens, now=moment.now, revoked=moment.revoked)
    found = read_revocation(authority, tokens, moment.validator)
    ours = [moment.queue, *own.subjects(moment.queue, PROXY_SIGN)]
    if any(is_same(found.revoker, one) for one in ours):
        return replace(found, expires=None)
    root = found.path[0].iss
    if not any(is_same(root, one) for one in ours):
        raise InvalidClaimError(
            f"{found.revoked} hangs on nothing of this queue",
            hint="give its 'path': the delegations from the queue, or from a service that it serves, to this one",
            token=found.revoked,
        )
    check_path(root, found.path)
    for each in found.path:
        if each.exp is not None and each.exp + LEEWAY < moment.now:
            raise ExpiredError(f"nobody can use it any more: {each.link} expired at {each.exp}", token=each.link)
        if each.link in moment.revoked and each.link != found.revoked:
            raise RevokedError(f"nobody can use it any more: {each.link} has been revoked", token=each.link)
    return found


def read_tokens(data: bytes) -> Mapping[Link, bytes]:
    """Return the tokens of a request's container; raises `MalformedError`."""
    return Container.read(data).tokens


def _check_command(invocation: Invocation, command: str) -> None:
    if str(invocation.cmd) != command:
        raise MalformedArgumentsError(f"this is {invocation.cmd}, not {command}", token=invocation.link)


def _check_subject(invocation: Invocation, queue: str) -> None:
    if not is_same(invocation.sub, queue):
        raise InvalidSubjectError(f"this is about {invocation.sub}, not about the queue", token=invocation.link)


def _check_ends(invocation: Invocation) -> None:
    if invocation.exp is None:
        raise InvalidClaimError(
            "an invocation without end could be sent again for ever",
            hint="give it an 'exp'",
            token=invocation.link,
        )
