"""Pushes that break a rule, sent to a real gate: each is refused with the rule, logged once, and leaves nothing."""

from __future__ import annotations

import gzip
import sys
from contextlib import contextmanager
from time import monotonic

import cbor2
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from gates import HOUR, Request, cid, delegation, invocation, mirrored, now
from modules import salt

from ipvm_queue.crypto import Signer
from ipvm_queue.ipld import Link, encode
from ipvm_queue.ucan import Container

pytestmark = pytest.mark.integration


def works(parties, request) -> None:
    """Assert that a good push is accepted and its run ends well."""
    answer = parties.ask(request)
    assert "ok" in answer, answer
    with parties.stack.client() as client:
        run = client.run(answer["ok"]["run"])
        run.wait(timeout=60)
        assert run.status == "ok"


def test_a_good_push_is_run(parties):
    """What the attacks below change is a push that is accepted, and run by a worker of another key."""
    works(parties, parties.push())


def test_a_service_may_push_what_a_user_asks_it_for(parties):
    """The service stands between: the user signs 8 alone, and the service 9 under its own grant."""
    works(parties, parties.push(by=parties.service, nine={"proofs": [parties.one]}, without=("again",)))


# Forms

FORMS = {
    "nothing": b"",
    "not a container": b"hello",
    "a gzip bomb": b"M" + gzip.compress(bytes(64 * 1024 * 1024)),
    "10,000 tokens": b"@" + encode({"ctn-v1": [n.to_bytes(4, "big") for n in range(10_000)]}),
    "a token of 100,000 bytes": b"@" + encode({"ctn-v1": [b"ucan/inv@1.0.0" + bytes(100_000)]}),
    "a container of nothing": Container.of([]).write(),
    "a JWT": Container.of([b"eyJhbGciOiJFZERTQSIsInR5cCI6IkpXVCJ9.eyJpc3MiOiJ4In0.AA"]).write(),
    "a token under the wrong letter": b"B" + encode({"ctn-v1": []}),
}


@pytest.mark.parametrize("name", FORMS)
def test_what_is_no_request_is_refused(parties, name):
    """Bytes that are no container of a request are answered with the rule, whatever they would unpack to."""
    parties.refuses(Request({}, raw=FORMS[name]), "Malformed")


# One member of the diagram left out, or its signature turned


@pytest.mark.parametrize("member", ["one", "again", "work", "eight"])
def test_every_member_is_needed(parties, member):
    """A push without one of 1, 1 passed on, 7 and 8 names what is not there."""
    parties.refuses(parties.push(without=(member,)), "UnavailableProof")


@pytest.mark.parametrize("member", ["one", "again", "work", "eight", "nine"])
def test_every_signature_counts(parties, member):
    """One bit of any member's signature is enough, though everything else names the changed token."""
    parties.refuses(parties.push(flip=member), "InvalidSignature")


# Chains

CHAINS = {
    "stolen proofs": (lambda p: {"by": p.mallory}, "InvalidAudience"),
    "stolen work": (lambda p: {"run_by": p.mallory}, "InvalidAudience"),
    "a queue of one's own": (
        lambda p: {"by": p.mallory, "nine": {"subject": p.mallory.did, "proofs": [], "aud": p.queue.did}},
        "InvalidSubject",
    ),
    "a service of one's own": (
        lambda p: {"run_by": p.mallory, "eight": {"subject": p.mallory.did, "proofs": []}},
        "InvalidClaim",
    ),
    "no proofs": (lambda _: {"nine": {"proofs": []}}, "InvalidClaim"),
    "no proofs of work": (lambda _: {"eight": {"proofs": []}}, "InvalidClaim"),
    "leaf first": (lambda _: {"leaf_first": True}, "InvalidAudience"),
    "the same proof again and again": (lambda p: {"nine": {"proofs": [p.one] * 16}}, "InvalidAudience"),
    "too many proofs": (lambda p: {"nine": {"proofs": [p.one] * 17}}, "Malformed"),
    "a grant by mallory": (
        lambda p: {"one": delegation(p.mallory, p.service.did, p.queue.did, "/queue/push")},
        "InvalidAudience",
    ),
    "a powerline at the root": (
        lambda p: {"one": delegation(p.queue, p.service.did, None, "/queue/push")},
        "InvalidClaim",
    ),
    "a grant to pop": (
        lambda p: {"one": delegation(p.queue, p.service.did, p.queue.did, "/queue/pop")},
        "ImpossibleAttenuation",
    ),
    "a grant that only begins alike": (
        lambda p: {"one": delegation(p.queue, p.service.did, p.queue.did, "/queue/pus")},
        "ImpossibleAttenuation",
    ),
    "a grant about another queue": (
        lambda p: {"one": delegation(p.queue, p.service.did, p.mallory.did, "/queue/push")},
        "InvalidSubject",
    ),
    "work for another service": (
        lambda p: {"work": delegation(p.service, p.user.did, p.mallory.did, "/")},
        "InvalidSubject",
    ),
    "addressed to another service": (lambda p: {"eight": {"aud": p.mallory.did}}, "InvalidAudience"),
    "addressed to another queue": (lambda p: {"nine": {"aud": p.mallory.did}}, "InvalidAudience", "Malformed"),
    "work that runs nothing": (
        lambda p: {"work": delegation(p.service, p.user.did, p.service.did, "/crud/read")},
        "ImpossibleAttenuation",
    ),
    "everybody's key": (
        lambda p: {"work": delegation(p.service, EVERYBODY, p.service.did, "/")},
        "UnsupportedDID",
    ),
}
EVERYBODY = "did:key:z6MkeXATEjyXENzBXBxgC5EHk2JE5aqd7qMGGtDpLUH1e2Sj"  # the identity point: it signs anything


@pytest.mark.parametrize("name", CHAINS)
def test_a_chain_leads_from_the_queue_and_the_service_to_who_asks(parties, name):
    """9 needs a chain from the queue, 8 one from a service that the queue serves, link by link and root first."""
    make, *rules = CHAINS[name]
    parties.refuses(parties.push(**make(parties)), *rules)


# Time

TIMES = {
    "9 is over": (lambda _: {"nine": {"exp": now() - HOUR}}, "Expired"),
    "8 is over": (lambda _: {"eight": {"exp": now() - HOUR}}, "Expired"),
    "1 is over": (
        lambda p: {"one": delegation(p.queue, p.service.did, p.queue.did, "/queue/push", exp=now() - 120)},
        "Expired",
    ),
    "7 is over": (
        lambda p: {"work": delegation(p.service, p.user.did, p.service.did, "/", exp=now() - 120)},
        "Expired",
    ),
    "1 is for later": (
        lambda p: {"one": delegation(p.queue, p.service.did, p.queue.did, "/queue/push", nbf=now() + 600)},
        "TooEarly",
    ),
    "8 is for later": (lambda _: {"eight": {"nbf": now() + 600}}, "TooEarly"),
    "9 never ends": (lambda _: {"nine": {"exp": None}}, "InvalidClaim"),
    "8 never ends": (lambda _: {"eight": {"exp": None}}, "InvalidClaim"),
}


@pytest.mark.parametrize("name", TIMES)
def test_time_counts(parties, name):
    """Every token holds now, and an invocation has an end, or it could be sent again for ever."""
    make, *rules = TIMES[name]
    parties.refuses(parties.push(**make(parties)), *rules)


def test_clocks_may_differ_by_a_minute(parties):
    """A token whose time was over half a minute ago, or comes in half a minute, is taken."""
    late = delegation(parties.queue, parties.service.did, parties.queue.did, "/queue/push", exp=now() - 30)
    soon = delegation(parties.service, parties.user.did, parties.service.did, "/", nbf=now() + 30)

    assert "ok" in parties.ask(parties.push(one=late, work=soon))


# Arguments and shapes


def test_a_service_is_named_without_a_fragment(parties):
    """A DID with a fragment is the same principal, but with it each Task of the job would be another, and run again."""
    parties.refuses(parties.push(eight={"subject": f"{parties.service.did}#key-1"}), "InvalidSubject")


SHAPES = {
    "no invocation": ({"nine": {"args": {}}}, "MalformedArguments"),
    "bytes for a link": ({"nine": {"args": {"inv": Link.of(b"x").bytes}}}, "MalformedArguments"),
    "text for a link": ({"nine": {"args": {"inv": str(Link.of(b"x"))}}}, "MalformedArguments"),
    "more arguments": ({"eight": {"args": {"job": Link.of(b"x"), "and": 1}}}, "MalformedArguments"),
    "another command in 8": ({"eight": {"command": "/ipvm/runall"}}, "MalformedArguments"),
    "everything in 8": ({"eight": {"command": "/"}}, "MalformedArguments"),
    "another command in 9": ({"nine": {"command": "/queue/pushall"}}, "Malformed"),
    "no nonce in 8": ({"eight": {"nonce": b""}}, "MalformedArguments"),
    "an unknown field": ({"nine": {"extra": 1}}, "Malformed"),
    "a field too few": ({"nine": {"prf": ...}}, "Malformed"),
    "a version of tomorrow": ({"nine": {"tag": "ucan/inv@2.0.0"}}, "UnsupportedVersion", "Malformed"),
    "the header of another suite": ({"nine": {"header": bytes.fromhex("3401ec01802412 71")}}, "InvalidSignature"),
    "the header of an older varsig": ({"nine": {"header": bytes.fromhex("34ed0171")}}, "UnsupportedAlgorithm"),
    "no signature": ({"nine": {"signature": bytes(64)}}, "InvalidSignature"),
    "a short signature": ({"nine": {"signature": b"x"}}, "InvalidSignature", "Malformed"),
    "a command in capitals": ({"nine": {"command": "/Queue/Push"}}, "Malformed"),
    "a float for a time": ({"nine": {"exp": 4e9}}, "Malformed"),
    "a time beyond all time": ({"nine": {"exp": 2**53}}, "Malformed"),
}


@pytest.mark.parametrize("name", SHAPES)
def test_shapes_are_strict(parties, name):
    """What is not exactly a push of a job is none."""
    changes, *rules = SHAPES[name]
    parties.refuses(parties.push(**changes), *rules)


def test_unsigned_bytes_are_refused(parties):
    """A third element behind the signed ones is covered by no signature."""
    request = parties.push()
    request.members["nine"] = b"\x83" + request.members["nine"][1:] + b"\x01"

    parties.refuses(request, "Malformed")


def test_a_request_asks_one_thing(parties):
    """Two pushes in one container leave open which is meant."""
    request = parties.push()
    request.members["another"] = parties.push().members["nine"]

    parties.refuses(request, "Malformed")


def test_a_tampered_job_is_refused(parties):
    """A block under the CID of the signed job has other bytes; the CID of 8 still names the first."""
    request = parties.push()
    (link,) = request.blocks
    request.blocks[link] = parties.document()

    parties.refuses(request, "block")


def test_a_job_that_another_signed_is_refused(parties):
    """8 is the user's, the document in it is signed by someone else."""
    parties.refuses(parties.push(document=parties.document(parties.mallory)), "InvalidSignature")


def test_a_job_that_is_not_there_is_refused(parties):
    """The block of the job neither comes along nor is stored."""
    request = parties.push()
    request.blocks.clear()

    parties.refuses(request, "missing-block")


# Policies: what tasks may do


def only(parties, *policy, command="/"):
    """Return 7 with a policy."""
    return delegation(parties.service, parties.user.did, parties.service.did, command, pol=list(policy))


@pytest.mark.parametrize(
    ("policy", "rules"),
    [
        ([["==", ".job", "no link"]], ["MatchError"]),
        ([["like", ".nothing", "*" * 2000]], ["MatchError"]),
        ([["~~", ".job", 1]], ["Malformed"]),
        ([["==", "job", 1]], ["Malformed"]),
    ],
    ids=["not this job", "a hundred stars", "no such operator", "no selector"],
)
def test_policies_of_the_work_bind(parties, policy, rules):
    """The policies of 7 are looked at for 8, in linear time; what is no policy grants nothing."""
    started = monotonic()
    parties.refuses(parties.push(work=only(parties, *policy)), *rules)
    assert monotonic() - started < 30


@contextmanager
def without_limit():
    """Let the encoder go as deep as the attacker's would."""
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(100_000)
    try:
        yield
    finally:
        sys.setrecursionlimit(limit)


def test_a_policy_too_deep_is_refused(parties):
    """A tower of `not` is refused by its depth, before anything walks down it."""
    tower = ["==", ".job", 1]
    for _ in range(5000):
        tower = ["not", tower]
    envelope = {"h": parties.service.varsig, "ucan/dlg@1.0.0": {"pol": [tower]}}
    with without_limit():
        body = cbor2.dumps(envelope, canonical=True)
    work = b"\x82" + encode(parties.service.sign(body)) + body

    parties.refuses(parties.push(work=work), "Malformed")


def test_a_task_that_no_delegation_covers_is_refused(parties):
    """Each task of a job is judged as if the user invoked it: running jobs alone lets no task run."""
    parties.refuses(parties.push(work=only(parties, command="/ipvm/run")), "InvalidClaim", "ImpossibleAttenuation")


def allowing(parties, *policy):
    """Return a push's delegations: one to run jobs, one for Wasm under a policy."""
    run, wasm = only(parties, command="/ipvm/run"), only(parties, *policy, command="/wasm/run")
    return {"work": run, "eight": {"proofs": [run]}}, wasm


def test_a_task_that_a_policy_forbids_is_refused(parties):
    """The user may call `add`; a job with one `trap` among its tasks is not taken at all."""
    changes, wasm = allowing(parties, ["==", ".fun", "add"])
    document = parties.document(good=parties.task("add", salt(), 1), bad=parties.task("trap", 1))
    request = parties.push(document=document, **changes)
    request.members["wasm"] = wasm
    parties.refuses(request, "MatchError")

    good = parties.push(document=parties.document(good=parties.task("add", salt(), 1)), **changes)
    good.members["wasm"] = wasm
    works(parties, good)


def test_a_policy_on_a_promise_waits_for_its_value(parties):
    """What a promise brings is not known at the gate: the push is taken, the worker judges by its value."""
    changes, wasm = allowing(parties, ["or", [["==", ".fun", "add"], ["<", ".params[0]", 10]]])
    jobs = {"first": parties.task("add", salt(), 1), "second": parties.task("pair", {"from": "first"}, 1)}
    request = parties.push(document=parties.document(**jobs), **changes)
    request.members["wasm"] = wasm
    answer = parties.ask(request)
    assert "ok" in answer, answer
    with parties.stack.client() as client:
        run = client.run(answer["ok"]["run"])
        run.wait(timeout=60)
        assert run["first"].state == "ok"
        assert (run["second"].error["code"], run["second"].error["rule"]) == ("refused", "MatchError")


def test_all_tasks_of_a_push_are_judged_within_one_measure(parties):
    """A policy that takes long to judge of each of a few tasks may be judged of one, not of them all."""
    policy = [["all", ".params[0]", ["and", [["!=", ".", -1]] * 50]]]  # half a million steps, of a list of ten thousand
    work = delegation(parties.service, parties.user.did, parties.service.did, "/ipvm/run")
    wasm = delegation(parties.service, parties.user.did, parties.service.did, "/wasm", pol=policy)

    def push(count):
        jobs = {f"t{n}": parties.task("add", [salt()] + [1] * 10_000, n) for n in range(count)}
        request = parties.push(work=work, document=parties.document(**jobs))
        request.members["wasm"] = wasm
        return request

    assert "ok" in parties.ask(push(1))
    assert "steps" in parties.refuses(push(3), "MatchError")["message"]


# Replays


def test_a_push_that_came_before_is_refused(parties):
    """The same container under another request's id, the same 9 or the same 8 in a new 9: nothing runs twice."""
    request = parties.push()
    assert "ok" in parties.ask(request)
    again = {"args": {"inv": cid(request.members["eight"])}, "subject": parties.queue.did, "command": "/queue/push"}
    chain = [request.members["one"], request.members["again"]]
    renewed = Request({**request.members, "nine": invocation(parties.user, proofs=chain, **again)}, request.blocks)

    parties.refuses(request, "Replay")
    parties.refuses(renewed, "Replay")


def test_a_replay_under_another_signature_is_refused(parties):
    """ECDSA signatures can be turned into others that verify: what counts is what was signed."""
    p256 = Signer(ec.generate_private_key(ec.SECP256R1()))
    again = delegation(parties.service, p256.did, parties.queue.did, "/queue/push")
    work = delegation(parties.service, p256.did, parties.service.did, "/")
    request = parties.push(by=p256, run_by=p256, again=again, work=work)
    assert "ok" in parties.ask(request)
    nine = request.members["nine"]
    request.members["nine"] = mirrored(nine)
    assert cid(request.members["nine"]) != cid(nine)

    parties.refuses(request, "Replay")


def test_two_users_may_have_the_same_work_done(parties):
    """Equal pure work of two users is one Task with one receipt: the receipt is shared, the authority is not."""
    document = {"only": parties.task("add", salt(), 2)}
    first = parties.push(document=parties.document(parties.user, **document))
    other = parties.mallory
    rights = {
        "again": delegation(parties.service, other.did, parties.queue.did, "/queue/push"),
        "work": delegation(parties.service, other.did, parties.service.did, "/"),
    }
    second = parties.push(by=other, run_by=other, document=parties.document(other, **document), **rights)
    works(parties, first)
    works(parties, second)
