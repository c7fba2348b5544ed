"""Classic wallets: what py-ucan takes by itself, what the walk refuses, and what is exchanged."""

from __future__ import annotations

import asyncio
import builtins
import json
import time
from base64 import urlsafe_b64decode
from hashlib import sha256

import pytest
from principals import ALICE, BOB, CAROL, MALLORY, principal

from ipvm_queue.errors import UsageError
from ipvm_queue.ipld import DAG_CBOR, Link
from ipvm_queue.ucan import Delegation, Invocation, MalformedError, UcanError, Validator
from ipvm_queue.ucan.classic import LIFETIME, MAX_DEPTH, PUSH, exchange, mint, queue_of, source_of, walk
from ipvm_queue.ucan.jwt import HEADER, Jwt, encode_part

QUEUE = principal("queue")
RESOURCE = f"queue:{QUEUE.did}"
NOW = int(time.time())
SOON = NOW + 3000  # py-ucan looks at the clock of its own: tests may be slow, and LIFETIME is longer


def part(value) -> str:
    """Return a value as a part of a JWT."""
    return encode_part(json.dumps(value).encode())


def right(resource, ability, **more):
    """Return the one right that a token is to give."""
    return [{"with": resource, "can": ability} | more]


def raw(signer, audience, *proofs, header=None, signature=None, **changes):
    """Return a JWT of anything at all; a change to `...` leaves a field out."""
    payload = {
        "iss": signer.did,
        "aud": audience.did,
        "exp": SOON,
        "att": right(RESOURCE, PUSH),
        "prf": list(proofs),
    } | changes
    kept = {name: value for name, value in payload.items() if value is not ...}
    signed = f"{part(HEADER if header is None else header)}.{part(kept)}"
    return f"{signed}.{encode_part(signer.sign(signed.encode()) if signature is None else signature)}"


ROOT = raw(QUEUE, ALICE)


def bare(token, audience):
    """Ask py-ucan as its documentation says to: whether the queue lets `audience` be told to push."""
    from ipvm_queue.ucan import py_ucan

    ucan = py_ucan.ucan
    needed = ucan.Capability.model_validate({"with": RESOURCE, "can": PUSH})
    required = [ucan.RequiredCapability(capability=needed, root_issuer=QUEUE.did)]
    return asyncio.run(ucan.verify(token, audience.did, required)).ok


def refusal(token, **options):
    """Return the name of the rule that a JWT breaks."""
    with pytest.raises(UcanError) as caught:
        exchange(token, QUEUE, NOW, **options)
    return caught.value.name


def test_a_delegation_to_its_holder_is_exchanged():
    """The queue says in 1.0 what its JWT says in 0.8, to the same key, for a time that is shorter."""
    found = exchange(ROOT, QUEUE, NOW, invoker=ALICE.did)

    assert (found.iss, found.aud, found.sub, str(found.cmd)) == (QUEUE.did, ALICE.did, QUEUE.did, "/queue/push")
    assert found.exp == SOON
    assert found.meta == {"from": sha256(ROOT.encode()).digest(), "by": sha256(ROOT.encode()).digest()}
    asked = Invocation.issue(ALICE, QUEUE.did, "/queue/push", {}, [found.link], expiration=SOON)
    assert Validator().invocation(asked.data, {found.link: found.data}, now=NOW, audience=QUEUE.did).settled


def test_a_token_that_its_holder_addresses_to_the_queue_is_exchanged():
    """In UCAN 0.8 a token is used by addressing it to whom one asks; its issuer is then who gets the delegation."""
    held = raw(ALICE, BOB, ROOT)
    used = raw(BOB, QUEUE, held)

    found = exchange(used, QUEUE, NOW)
    assert found.aud == BOB.did
    assert [token.iss for token in walk(used, QUEUE.did, now=NOW).chain] == [QUEUE.did, ALICE.did, BOB.did]


def test_what_is_exchanged_is_short_lived():
    """However long the JWT is good for, the delegation has to be fetched again after an hour."""
    assert exchange(raw(QUEUE, ALICE, exp=NOW + 10**8), QUEUE, NOW).exp == NOW + LIFETIME


def test_time_is_that_of_the_chain():
    """A token that ends sooner than its proof ends what is exchanged."""
    assert exchange(raw(ALICE, BOB, ROOT, exp=SOON - 1), QUEUE, NOW).exp == SOON - 1


@pytest.mark.parametrize(
    "att",
    [
        [{"with": QUEUE.did, "can": PUSH}],
        [{"with": RESOURCE, "can": "queue/*"}],
        [{"with": "mailto:a@example.com", "can": "msg/send"}, {"with": RESOURCE, "can": PUSH}],
    ],
)
def test_every_spelling_of_the_right_is_taken(att):
    """The queue's DID alone, `queue/*`, and other rights beside it."""
    assert exchange(raw(ALICE, BOB, raw(QUEUE, ALICE, att=att)), QUEUE, NOW).aud == BOB.did


def test_nulls_of_py_ucan_are_taken():
    """What py-ucan mints has null where nothing was set."""
    assert exchange(raw(QUEUE, ALICE, nbf=None, nnc=None, fct=None), QUEUE, NOW).aud == ALICE.did


@pytest.mark.parametrize("signature", [b"", bytes(64), b"\x01" * 64])
def test_py_ucan_takes_forged_signatures_and_the_walk_does_not(signature):
    """Bare py-ucan drops the verdict on a signature, at every level: anybody is anybody."""
    forged = raw(QUEUE, ALICE, signature=signature)
    below = raw(ALICE, BOB, forged)

    assert bare(forged, ALICE)
    assert bare(below, BOB)
    assert refusal(forged) in ("InvalidSignature", "Malformed")
    assert refusal(below) in ("InvalidSignature", "Malformed")


def test_py_ucan_takes_a_stolen_proof_and_the_walk_does_not():
    """Bare py-ucan reports a proof that is addressed to somebody else, and then uses it."""
    stolen = raw(MALLORY, BOB, ROOT)

    assert bare(stolen, BOB)
    assert refusal(stolen) == "InvalidAudience"


def test_py_ucan_that_verifies_still_takes_a_stolen_proof():
    """With a plugin that raises, signatures count and addresses still do not: py-ucan is never asked alone."""
    from ipvm_queue.ucan import py_ucan
    from ipvm_queue.ucan.jwt import Capability

    covers = py_ucan.Covers(str.__eq__, str.__eq__)
    needed = Capability(RESOURCE, PUSH)

    assert py_ucan.refuses(raw(MALLORY, BOB, ROOT), BOB.did, needed, QUEUE.did, covers) is None
    assert py_ucan.refuses(raw(QUEUE, BOB, signature=bytes(64)), BOB.did, needed, QUEUE.did, covers)


def test_py_ucan_takes_a_child_that_outlives_its_proof_and_the_walk_does_not():
    """A delegation cannot be longer than what it comes from."""
    longer = raw(ALICE, BOB, ROOT, exp=SOON + 1)

    assert bare(longer, BOB)
    assert refusal(longer) == "ImpossibleAttenuation"


@pytest.mark.parametrize("header", [HEADER | {"typ": "UCAN"}, HEADER | {"ucv": "0.7.0"}, HEADER | {"ucv": "1.0.0"}])
def test_py_ucan_takes_other_types_and_versions_and_the_walk_does_not(header):
    """A token says what it is, and is read as nothing else."""
    token = raw(QUEUE, ALICE, header=header)

    assert bare(token, ALICE)
    assert refusal(token) in ("Malformed", "UnsupportedVersion")


CASES = {
    "another root": (lambda: raw(MALLORY, ALICE), "InvalidClaim"),
    "another root further up": (lambda: raw(ALICE, BOB, raw(MALLORY, ALICE)), "InvalidClaim"),
    "no right on this queue": (
        lambda: raw(QUEUE, ALICE, att=right("queue:x", PUSH)),
        "ImpossibleAttenuation",
    ),
    "no right to push": (
        lambda: raw(QUEUE, ALICE, att=right(RESOURCE, "queue/pop")),
        "ImpossibleAttenuation",
    ),
    "superuser": (lambda: raw(QUEUE, ALICE, att=right(RESOURCE, "*")), "ImpossibleAttenuation"),
    "a proof without the right": (lambda: raw(ALICE, BOB, raw(QUEUE, ALICE, att=[])), "ImpossibleAttenuation"),
    "expired": (lambda: raw(QUEUE, ALICE, exp=NOW), "Expired"),
    "an expired proof": (lambda: raw(ALICE, BOB, raw(QUEUE, ALICE, exp=NOW - 1), exp=NOW - 1), "Expired"),
    "too early": (lambda: raw(QUEUE, ALICE, nbf=NOW + 60), "TooEarly"),
    "begins before its proof": (lambda: raw(ALICE, BOB, raw(QUEUE, ALICE, nbf=NOW - 9)), "ImpossibleAttenuation"),
    "a bad proof beside a good one": (lambda: raw(ALICE, BOB, ROOT, raw(QUEUE, BOB)), "InvalidAudience"),
    "a forged proof that is not needed": (
        lambda: raw(ALICE, BOB, ROOT, raw(QUEUE, ALICE, att=[], signature=bytes(64))),
        "InvalidSignature",
    ),
    "the queue for itself": (lambda: raw(QUEUE, QUEUE), "InvalidAudience"),
    "another algorithm": (lambda: raw(QUEUE, ALICE, header=HEADER | {"alg": "none"}), "UnsupportedAlgorithm"),
    "more in its header": (lambda: raw(QUEUE, ALICE, header=HEADER | {"kid": "x"}), "Malformed"),
    "less in its header": (lambda: raw(QUEUE, ALICE, header={"alg": "EdDSA", "typ": "JWT"}), "Malformed"),
    "an unknown field": (lambda: raw(QUEUE, ALICE, sub=QUEUE.did), "Malformed"),
    "no exp": (lambda: raw(QUEUE, ALICE, exp=...), "Malformed"),
    "exp null": (lambda: raw(QUEUE, ALICE, exp=None), "Malformed"),
    "exp true": (lambda: raw(QUEUE, ALICE, exp=True), "Malformed"),
    "exp a fraction": (lambda: raw(QUEUE, ALICE, exp=SOON + 0.5), "Malformed"),
    "exp without end": (lambda: raw(QUEUE, ALICE, exp=10**400), "Malformed"),
    "nonce a number": (lambda: raw(QUEUE, ALICE, nnc=1), "Malformed"),
    "facts a map": (lambda: raw(QUEUE, ALICE, fct={}), "Malformed"),
    "rights as a map (0.10)": (lambda: raw(QUEUE, ALICE, att={RESOURCE: {PUSH: [{}]}}), "Malformed"),
    "rights with caveats (0.9)": (
        lambda: raw(QUEUE, ALICE, att=right(RESOURCE, PUSH, nb={})),
        "Malformed",
    ),
    "a proof that is a CID": (lambda: raw(ALICE, BOB, "bafkreigh2akiscaildc"), "Malformed"),
    "a proof that is no text": (lambda: raw(ALICE, BOB, 1), "Malformed"),
    "an audience that is no DID": (lambda: raw(QUEUE, ALICE, aud="alice"), "Malformed"),
    "an audience of another suite": (lambda: raw(QUEUE, ALICE, aud=principal("p", "P-256").did), "UnsupportedDID"),
    "an audience of small order": (
        lambda: raw(QUEUE, ALICE, aud="did:key:z6MkeTG3bFFSLYVU7VqhgZxqr6YzpaGrQtFMh1uvqGy1vDnP"),
        "UnsupportedDID",
    ),
    "a key of many": (lambda: raw(QUEUE, ALICE, aud=f"{ALICE.did}#key"), "UnsupportedDID"),
    "too many proofs": (lambda: raw(ALICE, BOB, *[ROOT] * 17), "Malformed"),
    "too many tokens": (lambda: raw(BOB, CAROL, *[raw(ALICE, BOB, *[ROOT] * 4)] * 4), "Malformed"),
    "combinations without end": (
        lambda: raw(BOB, CAROL, raw(ALICE, BOB, raw(QUEUE, ALICE, att=MANY), att=MANY), att=MANY),
        "Malformed",
    ),
    "rights without end": (lambda: raw(QUEUE, ALICE, att=MANY * 5), "Malformed"),
    "a fourth part": (lambda: ROOT + ".e30", "Malformed"),
    "bits behind the end": (lambda: ROOT[:-1] + chr(ord(ROOT[-1]) + 1), "Malformed"),
    "padding": (lambda: ROOT + "==", "Malformed"),
    "no JSON": (lambda: "eyJ.eyJ.AAAA", "Malformed"),
    "JSON without end": (lambda: f"{part(HEADER)}.{encode_part(b'[' * 40_000)}.AAAA", "Malformed"),
    "a key twice": (lambda: f"{part(HEADER)}.{TWICE}.AAAA", "Malformed"),
    "not a number": (lambda: raw(QUEUE, ALICE, exp=float("nan")), "Malformed"),
    "too long": (lambda: raw(QUEUE, ALICE, nnc="x" * 70_000), "Malformed"),
    "nothing": (lambda: "", "Malformed"),
}
TWICE = encode_part(b'{"iss":1,"iss":2}')
MANY = [{"with": RESOURCE, "can": PUSH}] * 4


@pytest.mark.parametrize("name", CASES)
def test_what_breaks_a_rule_is_refused_by_its_name(name):
    """Every rule of the walk, broken once."""
    token, rule = CASES[name]

    assert refusal(token()) == rule


def test_depth_is_bounded():
    """A chain of eight is the longest."""
    token = ROOT
    for _ in range(MAX_DEPTH - 1):
        token = raw(ALICE, ALICE, token)

    assert exchange(token, QUEUE, NOW).aud == ALICE.did
    assert refusal(raw(ALICE, ALICE, token)) == "Malformed"


def test_a_stolen_jwt_is_good_for_nothing():
    """Who asks for the exchange has to be the JWT's holder."""
    assert refusal(ROOT, invoker=MALLORY.did) == "InvalidAudience"


def test_a_revoked_jwt_is_refused_at_every_level():
    """A JWT is known by the CID of its text."""
    assert refusal(ROOT, revoked={Jwt.parse(ROOT).link}) == "Revoked"
    assert refusal(raw(ALICE, BOB, ROOT), revoked={Jwt.parse(ROOT).link}) == "Revoked"


def test_what_is_exchanged_names_the_jwt_that_is_to_be_revoked():
    """The one by which the holder has the right: another can be made below it, and others stand beside it."""
    held = raw(ALICE, BOB, ROOT)
    for text in (held, raw(BOB, QUEUE, held)):
        assert source_of(exchange(text, QUEUE, NOW), QUEUE.did) == Jwt.parse(held).link
    other = Delegation.issue(ALICE, BOB.did, QUEUE.did, "/queue/push", expiration=SOON, meta={"by": bytes(32)})
    assert source_of(other, QUEUE.did) is None
    assert source_of(exchange(ROOT, QUEUE, NOW), ALICE.did) is None


def test_whom_to_ask_stands_in_the_jwt():
    """In either spelling; a JWT about something else names no queue."""
    assert queue_of(ROOT) == queue_of(raw(QUEUE, ALICE, att=right(QUEUE.did, "queue/*"))) == QUEUE.did
    with pytest.raises(UcanError):
        queue_of(raw(QUEUE, ALICE, att=right("mailto:a@example.com", PUSH)))


def test_what_py_ucan_alone_refuses_is_refused_too():
    """py-ucan cannot read the superuser's `*` beside a right; then nobody takes the token for good."""
    both = [{"with": RESOURCE, "can": PUSH}, {"with": RESOURCE, "can": "*"}]

    assert refusal(raw(QUEUE, ALICE, att=both)) == "InvalidClaim"


def test_a_jwt_in_the_place_of_a_token_and_the_other_way_round():
    """Neither is read as the other."""
    grant = Delegation.issue(QUEUE, ALICE.did, QUEUE.did, "/queue/push", expiration=SOON)
    for parse in (Delegation.parse, Invocation.parse):
        with pytest.raises(MalformedError, match="JWT"):
            parse(ROOT.encode())
    asked = Invocation.issue(ALICE, QUEUE.did, "/queue/push", {}, [Link.of(ROOT.encode(), DAG_CBOR)], expiration=SOON)
    with pytest.raises(MalformedError, match="JWT"):
        Validator().invocation(asked.data, {asked.prf[0]: ROOT.encode()}, now=NOW)

    assert refusal(grant.data.decode("latin-1")) == "Malformed"
    assert refusal(encode_part(grant.data)) == "Malformed"
    assert refusal(raw(ALICE, BOB, encode_part(grant.data))) == "Malformed"


def test_minted_tokens_have_no_nulls_and_are_exchanged():
    """Older libraries refuse null; py-ucan reads what is minted, and the walk takes it, chains too."""
    one = mint(QUEUE, ALICE.did, RESOURCE, expiration=SOON)
    two = mint(ALICE, BOB.did, RESOURCE, expiration=SOON, not_before=NOW - 1, proofs=[one])
    payload = json.loads(urlsafe_b64decode(two.split(".")[1] + "=="))

    assert None not in payload.values()
    assert payload["nbf"] == NOW - 1
    assert bare(two, BOB)
    assert exchange(two, QUEUE, NOW).aud == BOB.did


def test_what_would_not_be_valid_is_not_minted():
    """Another suite's key, no DID, a word that older libraries cannot read."""
    with pytest.raises(UsageError, match="Ed25519"):
        mint(principal("p", "P-256"), ALICE.did, RESOURCE, expiration=SOON)
    with pytest.raises(MalformedError):
        mint(QUEUE, "alice", RESOURCE, expiration=SOON)
    with pytest.raises(MalformedError, match="could not read"):
        mint(QUEUE, ALICE.did, RESOURCE, expiration=SOON, ability="*")


def test_without_the_extra_it_says_what_is_missing(monkeypatch):
    """py-ucan is an extra, and nobody is shown an ImportError."""
    import sys

    real = builtins.__import__

    def absent(name, *rest):
        if name == "ucan" or name.startswith("ucan."):
            raise ModuleNotFoundError(name)
        return real(name, *rest)

    monkeypatch.delitem(sys.modules, "ipvm_queue.ucan.py_ucan", raising=False)
    monkeypatch.delattr("ipvm_queue.ucan.py_ucan", raising=False)
    monkeypatch.setattr(builtins, "__import__", absent)

    with pytest.raises(UsageError, match="py-ucan"):
        exchange(ROOT, QUEUE, NOW)
