"""Pops and hand-outs that break a rule, sent to a real gate; and workers that may not work, started for real."""

from __future__ import annotations

import pytest
from gates import HOUR, Request, cid, delegation, invocation, now
from modules import salt

from ipvm_queue.ipld import DAG_CBOR, Link
from ipvm_queue.ucan import Invocation, read

pytestmark = pytest.mark.integration


def test_a_good_pop_is_answered_with_a_lease(parties):
    """What the attacks below change is a pop that gives a lease, and the answer names it."""
    request = parties.pop()
    answer = parties.ask(request)["ok"]

    assert answer["pop"] == cid(request.members["ten"])
    assert now() < answer["lease"] <= now() + HOUR + 60


@pytest.mark.parametrize("member", ["two", "three", "four"])
def test_every_member_is_needed(parties, member):
    """A worker without 3 may not take work; one without 4, or without the service's word in 2, may not sign for it."""
    rules = ["UnavailableProof"] if member == "three" else ["InvalidClaim"]
    parties.refuses(parties.pop(without=(member,)), *rules)


@pytest.mark.parametrize("member", ["two", "three", "four", "ten"])
def test_every_signature_counts(parties, member):
    """One bit of any member's signature is enough."""
    parties.refuses(parties.pop(flip=member), "InvalidSignature")


POPS = {
    "another worker's grants": (lambda p: {"by": p.mallory}, "InvalidAudience"),
    "another worker's right to sign": (
        lambda p: {"four": delegation(p.queue, p.worker.did, p.service.did, "/ucan/proxy/sign")},
        "InvalidClaim",
    ),
    "a queue of one's own": (
        lambda p: {"by": p.mallory, "ten": {"subject": p.mallory.did, "proofs": [], "aud": p.queue.did}},
        "InvalidSubject",
    ),
    "no proofs": (lambda _: {"ten": {"proofs": []}}, "InvalidClaim"),
    "a grant to push": (
        lambda p: {"three": delegation(p.queue, p.other.did, p.queue.did, "/queue/push")},
        "ImpossibleAttenuation",
    ),
    "a grant by the service": (
        lambda p: {"three": delegation(p.service, p.other.did, p.queue.did, "/queue/pop")},
        "InvalidAudience",
    ),
    "signing for the queue, not for the service": (
        lambda p: {"four": delegation(p.queue, p.other.did, p.queue.did, "/ucan/proxy/sign")},
        "InvalidClaim",
    ),
    "everything on the service, which is not to sign for it": (
        lambda p: {"four": delegation(p.queue, p.other.did, p.service.did, "/")},
        "InvalidClaim",
    ),
    "signing for nobody in particular": (
        lambda p: {"two": delegation(p.mallory, p.queue.did, p.service.did, "/ucan/proxy/sign")},
        "InvalidClaim",
    ),
    "signing for a service of one's own": (
        lambda p: {
            "two": delegation(p.mallory, p.queue.did, p.mallory.did, "/ucan/proxy/sign"),
            "four": delegation(p.queue, p.other.did, p.mallory.did, "/ucan/proxy/sign"),
        },
        "InvalidClaim",
    ),
    "10 is over": (lambda _: {"ten": {"exp": now() - HOUR}}, "Expired"),
    "10 never ends": (lambda _: {"ten": {"exp": None}}, "InvalidClaim"),
    "10 without a nonce": (lambda _: {"ten": {"nonce": b""}}, "MalformedArguments"),
    "3 is over": (
        lambda p: {"three": delegation(p.queue, p.other.did, p.queue.did, "/queue/pop", exp=now() - 120)},
        "Expired",
    ),
    "3 is for later": (
        lambda p: {"three": delegation(p.queue, p.other.did, p.queue.did, "/queue/pop", nbf=now() + 600)},
        "TooEarly",
    ),
    "4 is over": (
        lambda p: {"four": delegation(p.queue, p.other.did, p.service.did, "/ucan/proxy/sign", exp=now() - 120)},
        "Expired",
    ),
    "a policy for other queues": (
        lambda p: {
            "three": delegation(
                p.queue, p.other.did, p.queue.did, "/queue/pop", pol=[["all", ".queues", ["==", ".", "ipvm.effects"]]]
            )
        },
        "MatchError",
    ),
    "addressed to another queue": (lambda p: {"ten": {"aud": p.mallory.did}}, "InvalidAudience"),
    "an unknown field": (lambda _: {"ten": {"extra": 1}}, "Malformed"),
    "the header of another suite": (
        lambda _: {"ten": {"header": bytes.fromhex("3401ec01802412 71")}},
        "InvalidSignature",
    ),
    "popall": (lambda _: {"ten": {"command": "/queue/popall"}}, "Malformed"),
    "no name": (lambda _: {"args": {"name": ""}}, "MalformedArguments"),
    "no queue": (lambda _: {"args": {"queues": []}}, "MalformedArguments"),
    "numbers for queues": (lambda _: {"args": {"queues": [1]}}, "MalformedArguments"),
    "too many queues": (lambda _: {"args": {"queues": [str(n) for n in range(100)]}}, "MalformedArguments"),
    "less than no process": (lambda _: {"args": {"slots": -1}}, "MalformedArguments"),
    "a truth for a number": (lambda _: {"args": {"slots": True}}, "MalformedArguments"),
    "more arguments": (lambda _: {"args": {"admin": True}}, "MalformedArguments"),
}


@pytest.mark.parametrize("name", POPS)
def test_a_pop_stands_on_the_queue_s_and_the_service_s_word(parties, name):
    """A worker proves that it may take work, and that it may answer for a service that the queue serves."""
    make, *rules = POPS[name]
    parties.refuses(parties.pop(**make(parties)), *rules)


def test_a_pop_that_came_before_is_refused(parties):
    """Each lease needs a pop of its own: the nonce is fresh."""
    request = parties.pop()
    assert "ok" in parties.ask(request)

    parties.refuses(request, "Replay")


def test_two_pops_with_one_nonce_are_two(parties):
    """A second worker that copies the first one's nonce shares its Task's CID; the answer says whose pop it is to."""
    args, nonce = {"name": "same@tests"}, b"0123456789ab"
    first = parties.pop(args=args, ten={"nonce": nonce})
    rights = {
        "three": delegation(parties.queue, parties.mallory.did, parties.queue.did, "/queue/pop"),
        "four": delegation(parties.queue, parties.mallory.did, parties.service.did, "/ucan/proxy/sign"),
    }
    second = parties.pop(by=parties.mallory, args=args, ten={"nonce": nonce}, **rights)
    tasks = {Invocation.parse(each.members["ten"]).task for each in (first, second)}

    assert len(tasks) == 1
    assert parties.ask(first)["ok"]["pop"] == cid(first.members["ten"])
    assert parties.ask(second)["ok"]["pop"] == cid(second.members["ten"])


# Hand-outs


@pytest.fixture
def lease(parties):
    """Return the CID of a pop of the second worker that holds."""
    request = parties.pop()
    assert "ok" in parties.ask(request)
    return cid(request.members["ten"])


@pytest.fixture
def run(parties):
    """Return the id of a run that goes on: it waits for a Task that nobody runs."""
    never = {"await/ok": {"/": str(Link.of(b"never", DAG_CBOR))}}
    document = parties.document(waits=parties.task("add", never, salt()))
    answer = parties.ask(parties.push(document=document))
    yield answer["ok"]["run"]
    parties.ask(parties.own(parties.user, "/queue/cancel", {"run": answer["ok"]["run"], "reason": "the test is over"}))


def test_a_run_is_handed_to_who_has_a_lease(parties, lease, run):
    """The hand-out is the queue's own word, names 8, 9 and 10, and says how long it is good."""
    answer = parties.ask(parties.own(parties.other, "/queue/handout", {"run": run, "pop": lease}))
    receipt = read(answer["ok"]["handout"])

    assert receipt.issuer == parties.queue.did
    assert receipt.out["ok"]["pop"] == lease
    assert receipt.out["ok"].keys() == {"inv", "push", "pop"}
    assert receipt.meta["lease"] > now()


def test_a_run_is_handed_to_nobody_else(parties, lease, run):
    """Not to a stranger, not to another worker under a pop that is not its own, not for a pop that never was."""
    for signer, pop in ((parties.mallory, lease), (parties.worker, lease), (parties.other, Link.of(b"no pop"))):
        parties.refuses(parties.own(signer, "/queue/handout", {"run": run, "pop": pop}), "InvalidClaim")


def test_a_hand_out_in_another_s_name_is_refused(parties, lease, run):
    """Mallory asks on the worker's behalf, with no delegation of the worker's."""
    asked = invocation(
        parties.mallory, parties.other.did, "/queue/handout", {"run": run, "pop": lease}, [], aud=parties.queue.did
    )
    parties.refuses(Request({"own": asked}), "InvalidClaim")


def test_a_run_that_is_not_there_is_not_handed_out(parties, lease):
    """The answer says which run is not known."""
    asked = parties.own(parties.other, "/queue/handout", {"run": "0" * 16, "pop": lease})

    assert "0" * 16 in parties.refuses(asked, "usage")["message"]


# Cancelling


def test_a_run_is_cancelled_by_who_asked_for_it_alone(parties, run):
    """Not by a stranger, not by a worker, not by the service; by the user it is."""
    for signer in (parties.mallory, parties.worker, parties.service):
        asked = parties.own(signer, "/queue/cancel", {"run": run, "reason": "because"})
        parties.refuses(asked, "InvalidClaim")
    answer = parties.ask(parties.own(parties.user, "/queue/cancel", {"run": run, "reason": "enough"}))

    assert answer["ok"]["run"] == run
    with parties.stack.client() as client:
        assert client.run(run).status == "cancelled"


# Workers


def test_a_worker_that_the_queue_does_not_know_does_not_start(parties):
    """A key without delegations: the worker says why, consumes nothing, and exits with 77."""
    stranger = parties.stack.beside("stranger")
    try:
        group = stranger.start_worker("stranger", "-P", "solo", ready=False)
        assert group.process.wait(60) == 77
        assert "no proof lets this worker" in group.log.read_text()
    finally:
        stranger.stop()


def test_a_worker_with_another_s_proofs_does_not_start(parties):
    """Proofs are for one key: with a new key beside them the worker is not let in."""
    thief = parties.stack.beside("thief", worker_proofs=parties.stack.settings.worker_proofs)
    try:
        group = thief.start_worker("thief", "-P", "solo", ready=False)
        assert group.process.wait(60) == 77
        assert "no proof lets this worker" in group.log.read_text()
    finally:
        thief.stop()
