"""Delegations that are not exactly what they should be, and keys of every suite, at a real gate."""

from __future__ import annotations

from os import urandom

import cbor2
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from gates import DELEGATION, HOUR, INVOCATION, delegation, now
from principals import CURVES, forge

from ipvm_queue.crypto import Signer
from ipvm_queue.ipld import encode

pytestmark = pytest.mark.integration

HALF = 0x7FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF5D576E7357A4501DDFE92F46681B20A0  # of secp256k1's order, rounded down
ORDER = 2 * HALF + 1


def work(parties, **changes):
    """Return 7 with other fields."""
    return delegation(parties.service, parties.user.did, parties.service.did, "/", **changes)


def payload(parties):
    """Return what stands in a good 7."""
    service = parties.service.did
    fields = {"iss": service, "aud": parties.user.did, "sub": service, "cmd": "/", "pol": [], "nonce": urandom(12)}
    return fields | {"exp": now() + HOUR}


def out_of_order(parties):
    """Return a 7 whose bytes are signed as they are, with keys in an order that is not the canonical one."""
    body = cbor2.dumps({DELEGATION: payload(parties), "h": parties.service.varsig})
    return b"\x82" + encode(parties.service.sign(body)) + body


def longer_than_needed(parties):
    """Return a 7 in which a length is written in more bytes than it takes, signed as it is."""
    body = encode({"h": parties.service.varsig, DELEGATION: payload(parties)})
    body = b"\xb8\x02" + body[1:]
    return b"\x82" + encode(parties.service.sign(body)) + body


SHAPES = {
    "an unknown field": (lambda p: work(p, extra=1), "Malformed"),
    "no subject": (lambda p: work(p, sub=...), "Malformed"),
    "no end": (lambda p: work(p, exp=...), "Malformed"),
    "a truth for a time": (lambda p: work(p, exp=True), "Malformed"),
    "a float for a time": (lambda p: work(p, exp=float(now() + HOUR)), "Malformed"),
    "text for a nonce": (lambda p: work(p, nonce="n"), "Malformed"),
    "no key's name": (lambda p: work(p, aud="did:web:example.org"), "UnsupportedDID"),
    "a command without a slash": (lambda p: delegation(p.service, p.user.did, p.service.did, "ipvm/run"), "Malformed"),
    "a bad statement under `or`": (
        lambda p: work(p, pol=[["or", [["!=", ".job", 1], ["~~", ".job", 1]]]]),
        "Malformed",
    ),
    "a bad selector under `not`": (lambda p: work(p, pol=[["not", ["==", "..job", 1]]]), "Malformed"),
    "an operator too few": (lambda p: work(p, pol=[["==", ".job"]]), "Malformed"),
    "an invocation for a delegation": (lambda p: forge(p.service, INVOCATION, payload(p)), "Malformed"),
    "a tag of somebody's own": (
        lambda p: forge(p.service, "mine/dlg@1.0.0", payload(p)),
        "Malformed",
    ),
    "a third element": (lambda p: b"\x83" + work(p)[1:] + b"\x01", "Malformed"),
    "bytes behind it": (lambda p: work(p) + b"\x00", "Malformed"),
    "keys out of order": (out_of_order, "Malformed"),
    "a length longer than needed": (longer_than_needed, "Malformed"),
}


@pytest.mark.parametrize("name", SHAPES)
def test_a_delegation_is_exactly_one(parties, name):
    """Well signed by who may grant it, and still none: nothing is read into it."""
    make, *rules = SHAPES[name]
    parties.refuses(parties.push(work=make(parties)), *rules)


class HighS(Signer):
    """A signer whose signatures have the greater of the two `s` that verify."""

    def sign(self, data: bytes) -> bytes:
        """Return the twin of an ordinary signature."""
        signature = super().sign(data)
        s = int.from_bytes(signature[32:], "big")
        return signature[:32] + max(s, ORDER - s).to_bytes(32, "big")


def rights(parties, signer):
    """Return a push by a signer who has every right to it."""
    again = delegation(parties.service, signer.did, parties.queue.did, "/queue/push")
    granted = delegation(parties.service, signer.did, parties.service.did, "/")
    return {"by": signer, "run_by": signer, "again": again, "work": granted}


@pytest.mark.parametrize("suite", CURVES)
def test_keys_of_other_suites_may_push(parties, suite):
    """P-256 and secp256k1 keys sign jobs as Ed25519 ones do."""
    signer = Signer(ec.generate_private_key(CURVES[suite]))

    answer = parties.ask(parties.push(**rights(parties, signer)))

    with parties.stack.client() as client:
        assert client.run(answer["ok"]["run"]).wait(60).status == "ok"


def test_a_signature_has_no_twin(parties):
    """Of secp256k1's two signatures the one with the lower `s` counts, so that a token has one CID."""
    key = ec.generate_private_key(CURVES["secp256k1"])
    low, high = Signer(key), HighS(key)
    good = rights(parties, low)
    request = parties.push(**{**good, "by": high, "document": parties.document(low)})

    parties.refuses(request, "InvalidSignature")
