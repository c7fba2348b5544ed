"""Tokens: what is issued reads back, and whatever departs from the form is refused under the rule's name."""

from __future__ import annotations

import pytest
from principals import ALICE, BOB, CAROL, NOW, delegation_payload, forge, grant, invocation_payload, principal

from ipvm_queue.crypto import SUITES
from ipvm_queue.crypto import did as did_key
from ipvm_queue.ipld import Link, cid_of, encode
from ipvm_queue.ucan import (
    Delegation,
    InvalidSignatureError,
    Invocation,
    MalformedError,
    Token,
    UcanError,
    UnsupportedDIDError,
    Validator,
    task_link,
)

DLG, INV = "ucan/dlg@1.0.0", "ucan/inv@1.0.0"


def refusal(parse, data):
    """Return the name of the rule that `data` breaks."""
    with pytest.raises(UcanError) as caught:
        parse(data)
    return caught.value.name


@pytest.mark.parametrize("suite", SUITES)
@pytest.mark.parametrize("version", ["1.0.0", "1.0.0-rc.1"])
def test_delegations_of_every_suite_and_tag_read_back(suite, version):
    """What is issued has the fields that it was issued with, and is valid."""
    issuer = principal("issuer", suite)
    policy = [["==", ".to", "x"]]
    issued = grant(
        issuer, BOB, issuer, policy=policy, expiration=NOW, not_before=5, nonce=b"", meta={"a": 1}, version=version
    )
    read = Validator().delegation(issued.data, now=NOW)

    assert read.token.tag == f"ucan/dlg@{version}"
    assert (read.iss, read.aud, read.sub, str(read.cmd)) == (issuer.did, BOB.did, issuer.did, "/msg")
    assert (read.pol.source, read.exp, read.nbf, read.nonce, read.meta) == (policy, NOW, 5, b"", {"a": 1})


def test_invocations_read_back_with_all_their_fields():
    """Optional fields are there when they are given, and the Task is that of subject, command, args and nonce."""
    cause = cid_of("receipt")
    issued = Invocation.issue(
        ALICE, ALICE.did, "/a/b", {"x": [1]}, expiration=NOW, audience=BOB.did, nonce=b"n", issued_at=3, cause=cause
    )
    read = Invocation.parse(issued.data)

    assert (read.aud, read.executor, read.iat, read.cause, read.args) == (BOB.did, BOB.did, 3, cause, {"x": [1]})
    assert read.task == task_link(ALICE.did, "/a/b", {"x": [1]}, b"n")
    assert issued.token.tag == INV


def test_random_nonces_differ():
    """Without a nonce given, two tokens of the same words are two tokens, of twelve random bytes each."""
    one, two = grant(ALICE, BOB, ALICE), grant(ALICE, BOB, ALICE)

    assert one.nonce != two.nonce
    assert len(one.nonce) == 12


def test_issuing_what_would_not_be_valid_is_refused():
    """A wrong command or DID is an error before anything is handed out."""
    with pytest.raises(MalformedError):
        grant(ALICE, BOB, ALICE, "/Msg")
    with pytest.raises(UnsupportedDIDError):
        Delegation.issue(ALICE, "did:web:example.com", ALICE.did, "/msg", expiration=None)


ENVELOPES = {
    "nothing": b"",
    "no CBOR": b"\xff",
    "a JWT": b"eyJhbGciOiJFZERTQSJ9.e30.AA",
    "not a list": encode({}),
    "one element": encode([b"s" * 64]),
    "three elements": encode([bytes(64), {"h": ALICE.varsig, DLG: delegation_payload()}, 1]),
    "one key": encode([bytes(64), {"h": ALICE.varsig}]),
    "three keys": encode([bytes(64), {"h": ALICE.varsig, DLG: {}, "zzzzzzzzzzzzzzzzzzzzz": 1}]),
    "no header": encode([bytes(64), {"x": ALICE.varsig, DLG: {}}]),
    "header is text": encode([bytes(64), {"h": "x", DLG: {}}]),
    "signature is text": encode(["x" * 64, {"h": ALICE.varsig, DLG: {}}]),
    "signature is a link": encode([cid_of(1), {"h": ALICE.varsig, DLG: {}}]),
    "payload is a list": forge(ALICE, DLG, []),
    "another tag": forge(ALICE, "dlg", delegation_payload()),
    "another namespace": forge(ALICE, "evil/ucan/inv@1.0.0", delegation_payload()),
    "bytes behind it": forge(ALICE, DLG, delegation_payload()) + b"\0",
    "too long": forge(ALICE, DLG, delegation_payload(meta={"x": "x" * 70_000})),
    "too deep": b"\x82\x58\x40" + bytes(64) + b"\x81" * 100_000 + b"\x80",
}


@pytest.mark.parametrize("data", ENVELOPES.values(), ids=ENVELOPES)
def test_what_is_no_envelope_is_malformed(data):
    """An envelope is a list of a signature and a map of header and payload, in canonical DAG-CBOR, and no more."""
    assert refusal(Delegation.parse, data) == "Malformed"


def test_bytes_that_are_not_canonical_are_malformed():
    """One token has one form: keys in another order, longer integers and indefinite lengths are refused."""
    good = grant(ALICE, BOB, ALICE, expiration=5, nonce=b"n").data
    longer = good.replace(b"cexp\x05", b"cexp\x18\x05")
    swapped = good.replace(b"cexp\x05ciss", b"ciss").replace(b"cpol", b"cexp\x05cpol")

    assert longer != good
    assert swapped != good
    for data in (longer, swapped, b"\x9f" + good[1:] + b"\xff"):
        assert refusal(Delegation.parse, data) == "Malformed"


@pytest.mark.parametrize(
    "tag",
    ["ucan/dlg@1.0.1", "ucan/dlg@2.0.0", "ucan/dlg@1.0.0-rc.2", "ucan/i/1.0.0-rc.1", "ucan/dlg", "ucan/dlg@1.0.0 "],
)
def test_other_versions_are_not_supported(tag):
    """Exactly the two tags are taken."""
    assert refusal(Delegation.parse, forge(ALICE, tag, delegation_payload())) == "UnsupportedVersion"


def test_a_token_of_ucan_0_9_is_of_another_version():
    """The CBOR form of older UCANs is told by its version and not taken."""
    assert refusal(Delegation.parse, encode({"v": "0.9.1", "iss": b"", "att": []})) == "UnsupportedVersion"


@pytest.mark.parametrize("header", ["", "34ed0171", "3401ed01ed0113a902", "34018524128002 71", "3401ed01ed011271"])
def test_other_signatures_are_not_supported(header):
    """Varsig 0, DAG-JSON payloads, RSA and a wrong hash are refused by their headers."""
    data = forge(ALICE, DLG, delegation_payload(), header=bytes.fromhex(header))

    assert refusal(Delegation.parse, data) == "UnsupportedAlgorithm"


@pytest.mark.parametrize("field", sorted(delegation_payload()))
def test_a_delegation_has_all_its_fields(field):
    """Each is required, also where null is a value."""
    assert refusal(Delegation.parse, forge(ALICE, DLG, delegation_payload(**{field: ...}))) == "Malformed"


@pytest.mark.parametrize("field", sorted(invocation_payload()))
def test_an_invocation_has_all_its_fields(field):
    """Each is required."""
    assert refusal(Invocation.parse, forge(ALICE, INV, invocation_payload(**{field: ...}))) == "Malformed"


BAD_DELEGATIONS = {
    "unknown field": {"fct": {}},
    "iat": {"iat": 1},
    "prf": {"prf": []},
    "exp true": {"exp": True},
    "exp float": {"exp": 1.0},
    "exp text": {"exp": "1"},
    "exp beyond 2^53": {"exp": 2**53},
    "nbf null": {"nbf": None},
    "nbf below -2^53": {"nbf": -(2**53)},
    "meta null": {"meta": None},
    "meta list": {"meta": []},
    "nonce text": {"nonce": "n"},
    "nonce long": {"nonce": bytes(65)},
    "pol map": {"pol": {}},
    "pol null": {"pol": None},
    "cmd bytes": {"cmd": b"/msg"},
    "cmd without slash": {"cmd": "msg"},
    "cmd upper": {"cmd": "/Msg"},
    "cmd trailing": {"cmd": "/msg/"},
    "cmd empty segment": {"cmd": "//msg"},
    "iss no DID": {"iss": "alice"},
    "aud null": {"aud": None},
    "sub bytes": {"sub": b"did"},
    "sub false": {"sub": False},
}


@pytest.mark.parametrize("change", BAD_DELEGATIONS.values(), ids=BAD_DELEGATIONS)
def test_fields_of_delegations_are_strict(change):
    """A field of another type or range, or one that there is not, makes no delegation."""
    assert refusal(Delegation.parse, forge(ALICE, DLG, delegation_payload(**change))) == "Malformed"


BAD_INVOCATIONS = {
    "unknown field": {"pol": []},
    "sub null": {"sub": None},
    "aud null": {"aud": None},
    "args list": {"args": []},
    "args link": {"args": cid_of({})},
    "prf null": {"prf": None},
    "prf text": {"prf": [str(cid_of(1))]},
    "prf bytes that look like a link": {"prf": [bytes(cid_of(1))]},
    "prf 17": {"prf": [cid_of(i) for i in range(17)]},
    "cause text": {"cause": str(cid_of(1))},
    "iat float": {"iat": 1.5},
    "nonce null": {"nonce": None},
}


@pytest.mark.parametrize("change", BAD_INVOCATIONS.values(), ids=BAD_INVOCATIONS)
def test_fields_of_invocations_are_strict(change):
    """A field of another type or range, or one that there is not, makes no invocation."""
    assert refusal(Invocation.parse, forge(ALICE, INV, invocation_payload(**change))) == "Malformed"


@pytest.mark.parametrize("field", ["iss", "aud", "sub"])
@pytest.mark.parametrize(
    "did",
    [
        "did:web:example.com",
        "did:key:z6Mk",
        "did:key:u7QGK",
        did_key.write(b"\xed\x01" + b"\1" + bytes(31)),
        f"{ALICE.did}#a b\n",
        "did:key:z" + "6" * 1000,
    ],
    ids=["did:web", "short", "another multibase", "small order", "blanks in the fragment", "long"],
)
def test_principals_are_keys_that_can_be_verified(field, did):
    """Every DID of a token is a did:key of the three suites, and none for which anybody can sign."""
    assert refusal(Delegation.parse, forge(ALICE, DLG, delegation_payload(**{field: did}))) == "UnsupportedDID"


def test_kinds_are_not_mixed_up():
    """A delegation in the place of an invocation is refused, and the other way round."""
    assert refusal(Invocation.parse, forge(ALICE, DLG, delegation_payload())) == "Malformed"
    assert refusal(Delegation.parse, forge(ALICE, INV, invocation_payload())) == "Malformed"


@pytest.mark.parametrize("signature", [b"", bytes(1), bytes(63), bytes(64), bytes(65), bytes(300), bytes(60_000)])
def test_what_is_no_signature_does_not_verify(signature):
    """A signature of any other bytes and length is refused as such."""
    data = forge(ALICE, DLG, delegation_payload(), signature=signature)

    assert refusal(lambda data: Validator().delegation(data, now=0), data) == InvalidSignatureError.name


def test_every_byte_of_a_token_is_covered():
    """A token with any byte changed is no longer valid."""
    good = grant(ALICE, BOB, ALICE, nonce=b"n", meta={"a": "b"}).data
    validator = Validator()
    validator.delegation(good, now=0)
    for position in range(len(good)):
        changed = bytearray(good)
        changed[position] ^= 1
        with pytest.raises(UcanError):
            validator.delegation(bytes(changed), now=0)


@pytest.mark.parametrize("suite", SUITES)
@pytest.mark.parametrize("claimed", SUITES)
def test_a_signature_in_another_suite_than_the_key_is_refused(suite, claimed):
    """Which algorithm verifies is decided by the key, and the header has to say the same."""
    signer = principal("signer", suite)
    data = forge(signer, DLG, delegation_payload(iss=signer.did), header=SUITES[claimed].varsig)
    if suite == claimed:
        Validator().delegation(data, now=0)
    else:
        assert refusal(lambda data: Validator().delegation(data, now=0), data) == "InvalidSignature"


def test_a_refusal_names_the_token():
    """The error says which token broke the rule, for machines too."""
    data = forge(ALICE, DLG, delegation_payload(cmd="x"))
    with pytest.raises(MalformedError) as caught:
        Delegation.parse(data)

    assert caught.value.token == Link.of(data, 0x71)
    assert caught.value.as_dict()["token"] == str(Link.of(data, 0x71))
    assert caught.value.as_dict()["rule"] == "Malformed"
    assert caught.value.exit_code == 3


def test_twins_of_a_p256_signature_are_one_invocation():
    """A signature's twin makes another token, and the same replay key: what was signed is the same."""
    signer = principal("p", "P-256")
    order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
    one = Invocation.issue(signer, signer.did, "/a", {}, expiration=None)
    s = int.from_bytes(one.token.signature[32:], "big")
    twin = forge(signer, INV, one.token.payload, signature=one.token.signature[:32] + (order - s).to_bytes(32, "big"))
    other = Validator().invocation(twin, {}, now=0).invocation

    assert one.link != other.link
    assert one.replay_key == other.replay_key


def test_opening_looks_at_nobody():
    """An opened token has its parts, whoever may have signed it."""
    token = Token.open(forge(ALICE, DLG, delegation_payload(iss=CAROL.did)))

    assert token.kind == "dlg"
    assert token.payload["iss"] == CAROL.did
    with pytest.raises(InvalidSignatureError):
        token.verify(CAROL.did)
    token.verify(ALICE.did)
