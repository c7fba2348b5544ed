"""The UCAN specification's fixtures: delegations and invocations, with the rule that each breaks."""

from __future__ import annotations

import json
from base64 import b64decode

import pytest
from vectors import vector

from ipvm_queue.crypto import Signer
from ipvm_queue.ipld import DAG_CBOR, Link, from_json
from ipvm_queue.ucan import Delegation, Invocation, UcanError, Validator

INVOCATIONS = from_json(vector("ucan-1.0.0/invocation.json").read_bytes())
DELEGATIONS = json.loads(vector("ucan-1.0.0/delegation.json").read_bytes())


def outcome(case):
    """Return the name of the rule that an invocation breaks, None for a valid one; memoised, it is the same."""
    proofs = {Link.of(proof, DAG_CBOR): proof for proof in case["proofs"]}
    validator = Validator(leeway=0)
    names = []
    for _ in range(2):
        try:
            validator.invocation(case["invocation"], proofs, now=case["time"])
            names.append(None)
        except UcanError as error:
            names.append(error.name)
    assert names[0] == names[1]
    return names[0]


@pytest.mark.parametrize("case", INVOCATIONS["valid"], ids=lambda case: case["name"])
def test_valid_invocations_are_valid(case):
    """What the specification takes is taken."""
    assert outcome(case) is None


@pytest.mark.parametrize("case", INVOCATIONS["invalid"], ids=lambda case: case["name"])
def test_invalid_invocations_break_the_rule_that_the_fixture_names(case):
    """What the specification refuses is refused for the same reason."""
    assert case["error"]["name"] == outcome(case)


def test_the_self_signed_invocation_has_the_published_addresses():
    """CIDs of tokens and Tasks are those that others compute."""
    (case,) = [case for case in INVOCATIONS["valid"] if case["name"] == "self signed"]
    invocation = Invocation.parse(case["invocation"])

    assert str(invocation.link) == "bafyreic6y4hockqhmnije3apitkmvzmdgedaefosz2gm75ivpmixydiklq"
    assert invocation.link == Link.parse("zdpuAroQrUZtq5tjXuJ2SmwjJwfyCsXcgLZxAGumx4Dwvg7kX")
    assert str(invocation.task) == "bafyreif365z24kbu27ycdpgqsh54olpltfhnbpa6veoroiw2at5dr5k6k4"


@pytest.mark.parametrize("case", DELEGATIONS["valid"], ids=lambda case: case["name"])
def test_delegations_read_and_write_as_published(case):
    """A published delegation says what the fixture says, and issuing it again with the same key gives its bytes."""
    data = b64decode(case["token"])
    payload = case["envelope"]["payload"]
    delegation = Validator().delegation(data, now=payload["exp"])

    assert str(delegation.link) == case["cid"]
    assert delegation.iss == payload["iss"]
    assert delegation.aud == payload["aud"]
    assert delegation.sub == payload["sub"]
    assert str(delegation.cmd) == payload["cmd"]
    assert delegation.pol.source == payload["pol"]
    assert delegation.exp == payload["exp"]
    assert delegation.nonce == b64decode(payload["nonce"])

    signer = signer_of(DELEGATIONS["principals"]["bob"])
    again = Delegation.issue(
        signer,
        delegation.aud,
        delegation.sub,
        payload["cmd"],
        payload["pol"],
        expiration=payload["exp"],
        nonce=delegation.nonce,
    )

    assert again.data == data


def signer_of(principal):
    """Return the signer of a fixture's private key, which stands behind a varint 0x1300."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    return Signer(Ed25519PrivateKey.from_private_bytes(b64decode(principal)[2:]))
