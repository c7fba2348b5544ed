"""Revocations at a real gate: who may, and what ends with what is revoked."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from gates import Request, cid, delegation, flipped, invocation, mirrored
from modules import salt

from ipvm_queue.crypto import Signer
from ipvm_queue.ipld import DAG_CBOR, Link

pytestmark = pytest.mark.integration


def revocation(signer, revoked, *path, **changes):
    """Return a request by which `signer` takes a delegation back; `path` are the delegations that lead to it."""
    args = {"revoke": cid(revoked)}
    if path:
        args["path"] = [cid(each) for each in path]
    asked = invocation(
        signer, signer.did, "/ucan/revoke", changes.pop("args", args), [], nonce=b"", exp=None, **changes
    )
    return Request({"asked": asked, **{f"witness {i}": each for i, each in enumerate([revoked, *path])}})


def work_of(parties):
    """Return a new 7."""
    return delegation(parties.service, parties.user.did, parties.service.did, "/")


def test_what_is_revoked_lets_nobody_push(parties):
    """The service takes 7 back: the push that was good a moment ago is refused, and says by what."""
    work = work_of(parties)
    assert "ok" in parties.ask(parties.push(work=work))

    assert parties.ask(revocation(parties.service, work))["ok"]["revoked"] == cid(work)
    error = parties.refuses(parties.push(work=work), "Revoked")
    assert error["token"] == str(cid(work))


def test_what_is_revoked_does_not_come_back_under_another_signature(parties):
    """A P-256 signature can be turned into another that verifies: the delegation has two CIDs, and both are revoked."""
    p256 = Signer(ec.generate_private_key(ec.SECP256R1()))
    work = delegation(parties.service, p256.did, parties.service.did, "/")
    passed_on = delegation(p256, parties.user.did, parties.service.did, "/")

    def push(last, **given):
        request = parties.push(work=work, eight={"proofs": [work, last]}, **given)
        request.members["passed on"] = last
        return request

    never = {"await/ok": {"/": str(Link.of(b"never", DAG_CBOR))}}
    waiting = parties.document(waits=parties.task("add", never, salt()))
    run = parties.ask(push(mirrored(passed_on), document=waiting))["ok"]["run"]

    found = parties.ask(revocation(p256, passed_on, work, passed_on))["ok"]
    assert (found["revoked"], found["runs"]) == (cid(passed_on), [run])
    parties.refuses(push(passed_on), "Revoked")
    parties.refuses(push(mirrored(passed_on)), "Revoked")


@pytest.mark.parametrize("who", ["the issuer", "further up"])
def test_who_granted_may_take_back(parties, who):
    """Who issued the delegation may, and who issued one that it follows from, with the path for a witness."""
    again = delegation(parties.service, parties.user.did, parties.queue.did, "/queue/push")
    signer, path = {"the issuer": (parties.service, []), "further up": (parties.queue, [parties.one, again])}[who]

    assert "ok" in parties.ask(revocation(signer, again, *path))
    parties.refuses(parties.push(again=again), "Revoked")


def test_a_revocation_may_be_said_twice(parties):
    """The set only grows: saying it again changes nothing, and is no replay."""
    work = work_of(parties)
    request = revocation(parties.service, work)
    assert "ok" in parties.ask(request)

    assert "ok" in parties.ask(request)


def strangers(parties, work):
    """Return revocations of 7 that are none, with the rule that each breaks."""
    other = delegation(parties.service, parties.mallory.did, parties.service.did, "/")
    forged = delegation(parties.mallory, parties.user.did, parties.service.did, "/")
    other_work = work_of(parties)
    said = revocation(parties.service, work)
    bare = revocation(parties.service, work)
    del bare.members["witness 0"]
    return {
        "mallory": (revocation(parties.mallory, work), "InvalidClaim"),
        "the one to whom it was granted": (revocation(parties.user, work), "InvalidClaim"),
        "the queue, with a path that is no chain": (
            revocation(parties.queue, work, parties.one, work),
            "InvalidClaim",
            "InvalidSubject",
            "InvalidAudience",
        ),
        "a path that ends elsewhere": (revocation(parties.service, work, work, other), "MalformedArguments"),
        "mallory, who forges a path": (
            revocation(parties.mallory, work, forged, work),
            "InvalidClaim",
            "InvalidSubject",
            "InvalidAudience",
        ),
        "no witness": (bare, "UnavailableProof"),
        "nothing to revoke": (revocation(parties.service, work, args={}), "MalformedArguments"),
        "text for a link": (revocation(parties.service, work, args={"revoke": str(cid(work))}), "MalformedArguments"),
        "a turned signature": (
            Request({**said.members, "asked": flipped(said.members["asked"])}),
            "InvalidSignature",
        ),
        "in another's name": (
            Request(
                {
                    "asked": invocation(
                        parties.mallory, parties.service.did, "/ucan/revoke", {"revoke": cid(work)}, [], exp=None
                    ),
                    "witness": work,
                }
            ),
            "InvalidClaim",
        ),
        "in the service's name, by who may have any work done": (
            Request(
                {
                    "asked": invocation(
                        parties.user, parties.service.did, "/ucan/revoke", {"revoke": cid(work)}, [other_work], exp=None
                    ),
                    "witness": work,
                    "work": other_work,
                }
            ),
            "ImpossibleAttenuation",
        ),
    }


def test_a_stranger_s_revocation_is_none(parties):
    """Whoever neither granted it nor stands further up changes nothing, and the delegation goes on being good."""
    work = work_of(parties)
    for request, *rules in strangers(parties, work).values():
        parties.refuses(request, *rules)

    assert "ok" in parties.ask(parties.push(work=work))


def test_runs_end_with_what_they_stand_on(parties):
    """A run that goes on is cancelled with the reason; one that stands on something else is not."""
    never = {"await/ok": {"/": str(Link.of(b"never", DAG_CBOR))}}
    work, runs = work_of(parties), []
    for each in (work, work_of(parties)):
        document = parties.document(waits=parties.task("add", never, salt()))
        runs.append(parties.ask(parties.push(work=each, document=document))["ok"]["run"])

    assert parties.ask(revocation(parties.service, work))["ok"]["runs"] == [runs[0]]
    with parties.stack.client() as client:
        ended, going = map(client.run, runs)
        assert (ended.status, going.status) == ("cancelled", "running")
        assert str(cid(work)) in ended.reason
    parties.ask(parties.own(parties.user, "/queue/cancel", {"run": runs[1], "reason": "the test is over"}))


@pytest.mark.parametrize("member", ["three", "four"])
def test_a_lease_ends_with_what_it_stands_on(parties, member):
    """A worker whose right to pop, or to sign, is revoked has no lease: no run is handed to it, it pops no more."""
    grants = {
        "three": delegation(parties.queue, parties.other.did, parties.queue.did, "/queue/pop"),
        "four": delegation(parties.queue, parties.other.did, parties.service.did, "/ucan/proxy/sign"),
    }
    popped = parties.pop(**grants)
    assert "ok" in parties.ask(popped)

    assert parties.ask(revocation(parties.queue, grants[member]))["ok"]["leases"] == 1
    asked = {"run": "0" * 16, "pop": cid(popped.members["ten"])}
    parties.refuses(parties.own(parties.other, "/queue/handout", asked), "InvalidClaim")
    parties.refuses(parties.pop(**grants), "Revoked")
