"""The npm package iso-ucan 0.5.0: tokens both ways, and where it departs from the specification.

It is installed into a folder of its own, once a session, with npm; without node or npm, or where npm cannot fetch it,
these tests are skipped. All of them share one run of node.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from base64 import b64decode, b64encode
from pathlib import Path

import pytest
from principals import ALICE, BOB, CAROL, NOW, forge, grant, invocation_payload, invoke, principal

from ipvm_queue.ipld import DAG_CBOR, Link, cid_of, encode
from ipvm_queue.ucan import Policy, UcanError, Validator
from ipvm_queue.ucan.token import VERSIONS

PACKAGE = "iso-ucan@0.5.0"
FAR = 4_000_000_000
SUITES = ("Ed25519", "P-256", "secp256k1")
TO_X = [["==", ".to", "x"]]
CURVE_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
IDENTITY = "did:key:z6MkeTG3bFFSLYVU7VqhgZxqr6YzpaGrQtFMh1uvqGy1vDnP"  # the key of small order that is 1


class Case:
    """A token with its proofs, for both to judge."""

    def __init__(self, token: bytes, *proofs: bytes, audience: str = ALICE.did) -> None:
        self.token = token
        self.proofs = proofs
        self.audience = audience

    def request(self):
        """Return the case as the peer reads it."""
        proofs = [b64encode(proof).decode() for proof in self.proofs]
        return {"token": b64encode(self.token).decode(), "proofs": proofs, "audience": self.audience}

    def ours(self) -> str | None:
        """Return the rule that the token breaks here."""
        proofs = {Link.of(proof, DAG_CBOR): proof for proof in self.proofs}
        try:
            Validator().invocation(self.token, proofs, now=NOW, audience=self.audience)
        except UcanError as error:
            return error.name
        return None


def of(invocation, *proofs, **options):
    """Return the case of tokens of ours."""
    return Case(invocation.data, *(proof.data for proof in proofs), **options)


def inv(signer=ALICE, tag="ucan/inv@1.0.0", **changes):
    """Return a well signed invocation of anything at all."""
    return forge(signer, tag, invocation_payload(**({"exp": FAR} | changes)))


def chained(suite, version):
    """Return an invocation of Carol's on a subject of some suite, through Bob."""
    subject = principal("subject", suite)
    one = grant(subject, BOB, subject, "/msg", policy=TO_X, version=version)
    two = grant(BOB, CAROL, subject, "/msg/send", version=version, meta={"n": 1.5})
    args = {"to": "x", "list": [1, -1, None, True, "é", b"\x01"]}
    asked = invoke(CAROL, subject, one, two, args=args, version=version, expiration=FAR, nonce=b"")
    return of(asked, one, two, audience=subject.did)


def twin():
    """Return an invocation with the other P-256 signature of the same payload."""
    signer = principal("subject", "P-256")
    payload = invocation_payload(iss=signer.did, sub=signer.did, exp=FAR)
    token = forge(signer, "ucan/inv@1.0.0", payload)
    s = CURVE_ORDER - int.from_bytes(token[35:67], "big")
    return Case(token[:35] + s.to_bytes(32, "big") + token[67:], audience=signer.did)


def unsorted():
    """Return an invocation whose payload keys are in another order; the signature is over the sorted form."""
    payload = invocation_payload(exp=FAR)
    token = inv()
    items = [encode(name) + encode(value) for name, value in reversed(payload.items())]
    return Case(token.replace(encode(payload), bytes([0xA0 + len(items)]) + b"".join(items)))


def with_third_key():
    """Return an invocation with a key beside header and payload that nobody signed, and that sorts last."""
    token = inv()
    head = 2 + 1 + 64  # the list's byte, and the signature with its own two
    return Case(token[:head] + b"\xa3" + token[head + 1 :] + encode("zzzzzzzzzzzzzzzzzzzz") + encode("x"))


ROOT = grant(ALICE, BOB, ALICE, "/msg")
CRYPTO = grant(ALICE, BOB, ALICE, "/crypto")
POWER = [grant(ALICE, BOB, ALICE, "/msg/send"), grant(BOB, CAROL, None, "/")]
LINKED = {"inv": cid_of("some token")}


def forged_policy(policy):
    """Return the case of a root whose policy is of any form."""
    payload = {"iss": ALICE.did, "aud": BOB.did, "sub": ALICE.did, "cmd": "/msg", "pol": policy, "nonce": b"n"}
    root = forge(ALICE, "ucan/dlg@1.0.0", payload | {"exp": FAR})
    asked = inv(BOB, iss=BOB.did, prf=[Link.of(root, DAG_CBOR)], args={"to": "x"})
    return Case(asked, root)


AGREED = {
    **{f"{suite} {version}": chained(suite, version) for suite in SUITES for version in VERSIONS},
    "self-issued": Case(inv()),
    "both signatures of P-256": twin(),
}
REFUSED_BY_BOTH = {
    "a forged signature": (Case(inv(BOB)), "InvalidSignature"),
    "a proof for somebody else": (of(invoke(CAROL, ALICE, ROOT), ROOT), "InvalidAudience"),
    "a proof of somebody else": (
        of(invoke(BOB, ALICE, other := grant(CAROL, BOB, CAROL, "/msg")), other),
        "InvalidSubject",
    ),
    "another command": (of(invoke(BOB, ALICE, ROOT, command="/crud"), ROOT), "ImpossibleAttenuation"),
    "no proofs": (of(invoke(BOB, ALICE)), "InvalidClaim"),
    "expired": (Case(inv(exp=1)), "Expired"),
    "a policy that does not hold": (
        of(invoke(BOB, ALICE, strict := grant(ALICE, BOB, ALICE, "/msg", policy=TO_X), args={"to": "y"}), strict),
        "MatchError",
    ),
}
# iso-ucan takes these; the specification, and we, do not.
TAKEN_THERE = {
    "keys out of order": (unsorted(), "Malformed"),
    "a third element that nobody signed": (Case(b"\x83" + inv()[1:] + encode("x")), "Malformed"),
    "a third key that nobody signed": (with_third_key(), "Malformed"),
    "any version": (Case(inv(tag="ucan/inv@9.9.9")), "UnsupportedVersion"),
    "another executor": (Case(inv(aud=BOB.did)), "InvalidAudience"),
    "a command that only begins the same": (
        of(invoke(BOB, ALICE, CRYPTO, command="/cryptocurrency"), CRYPTO),
        "ImpossibleAttenuation",
    ),
    "before its time": (Case(inv(nbf=FAR)), "TooEarly"),
    "proofs as text": (Case(inv(BOB, iss=BOB.did, cmd="/msg", prf=[str(ROOT.link)]), ROOT.data), "Malformed"),
    "a nonce without end": (Case(inv(nonce=bytes(1000))), "Malformed"),
    "a field that there is not": (Case(inv(more=1)), "Malformed"),
    "an unknown operator under or": (forged_policy([["or", [["==", ".to", "x"], ["~", ".to", "x"]]]]), "Malformed"),
    "a selector with two dots": (forged_policy([["==", "..to", "x"]]), "Malformed"),
    "a key of small order": (
        Case(
            forge(
                ALICE,
                "ucan/inv@1.0.0",
                invocation_payload(iss=IDENTITY, sub=IDENTITY, exp=FAR),
                signature=b"\x01" + bytes(63),
            ),
            audience=IDENTITY,
        ),
        "UnsupportedDID",
    ),
}
# We take these, as the specification says; iso-ucan does not.
TAKEN_HERE = {
    "a link in args": Case(inv(args=LINKED)),
    "a link in meta": Case(inv(meta=LINKED)),
    "a promise": Case(inv(args={"to": {"await/ok": cid_of("task")}})),
    "a whole number that is a float": Case(inv(args={"n": 1.0})),
    "a powerline wider than what is before it": of(invoke(CAROL, ALICE, *POWER, expiration=FAR), *POWER),
}
# Policies and args: what holds here and what iso-ucan says.
POLICIES = {
    "an equal value": (TO_X, {"to": "x"}, True, True),
    "another value": (TO_X, {"to": "y"}, False, False),
    "a glob": ([["like", ".to", "*@example.com"]], {"to": "a@example.com"}, True, True),
    "any over nothing": ([["any", ".to", ["==", ".", "x"]]], {"to": []}, True, True),
    "or of nothing": ([["or", []]], {}, True, True),
    "a missing key is null": ([["==", ".nope", None]], {}, True, False),
    "a quoted key": ([["!=", '.["secret"]', "x"]], {"secret": "x"}, False, True),
    "quantifiers in one another": (
        [["any", ".a", ["all", ".b", ["==", ".", 1]]]],
        {"a": [{"b": [1, 1]}, {"b": [2]}]},
        True,
        False,
    ),
}


@pytest.fixture(scope="session")
def peer(tmp_path_factory):
    """Return all that iso-ucan said, in one run."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        pytest.skip("node and npm are not both here: iso-ucan cannot be asked")
    folder = tmp_path_factory.mktemp("iso-ucan")
    (folder / "package.json").write_text('{"private": true, "type": "module"}')
    command = [npm, "install", "--no-audit", "--no-fund", "--ignore-scripts", "--no-save", PACKAGE]
    installed = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=90, check=False)
    if installed.returncode:
        pytest.skip(f"npm cannot install {PACKAGE}: {installed.stderr[-300:]}")
    shutil.copy(Path(__file__).with_name("peer.mjs"), folder)
    cases = AGREED | TAKEN_HERE | {name: case for name, (case, _) in (REFUSED_BY_BOTH | TAKEN_THERE).items()}
    asked = {
        "tokens": {name: case.request() for name, case in cases.items()},
        "policies": {name: {"policy": policy, "args": args} for name, (policy, args, *_) in POLICIES.items()},
    }
    told = subprocess.run(
        [node, "peer.mjs"], cwd=folder, input=json.dumps(asked), capture_output=True, text=True, timeout=60, check=False
    )
    assert told.returncode == 0, told.stderr
    return json.loads(told.stdout)


@pytest.mark.parametrize("name", AGREED)
def test_ours_are_taken_there(peer, name):
    """Every suite, both tags, chains of two with policies, empty nonces, either signature of P-256."""
    assert AGREED[name].ours() is None
    assert peer["verdicts"][name] == {"ok": True}


def test_theirs_are_taken_here(peer):
    """Every suite and both tags, and what the library itself makes."""
    made = {(token["suite"], token["version"]) for token in peer["tokens"]}

    assert made == {(suite, version) for suite in SUITES for version in VERSIONS} | {("library", "1.0.0-rc.1")}
    for token in peer["tokens"]:
        proofs = map(b64decode, token["proofs"])
        assert Case(b64decode(token["token"]), *proofs, audience=token["subject"]).ours() is None


@pytest.mark.parametrize("name", REFUSED_BY_BOTH)
def test_what_is_wrong_is_refused_by_both(peer, name):
    """Where the specification is plain, both keep to it."""
    case, rule = REFUSED_BY_BOTH[name]

    assert case.ours() == rule
    assert not peer["verdicts"][name]["ok"]


@pytest.mark.parametrize("name", TAKEN_THERE)
def test_iso_ucan_takes_what_the_specification_refuses(peer, name):
    """A token that iso-ucan finds valid is not one for that: docs/ucan.md lists these."""
    case, rule = TAKEN_THERE[name]

    assert peer["verdicts"][name] == {"ok": True}
    assert case.ours() == rule


@pytest.mark.parametrize("name", TAKEN_HERE)
def test_iso_ucan_refuses_what_the_specification_allows(peer, name):
    """Do not send these to peers that use iso-ucan."""
    assert not peer["verdicts"][name]["ok"]
    assert TAKEN_HERE[name].ours() is None


@pytest.mark.parametrize("name", POLICIES)
def test_policies_mean_the_same_but_where_they_do_not(peer, name):
    """Statements that hold here and there, and those that iso-ucan judges otherwise."""
    policy, args, ours, theirs = POLICIES[name]

    assert Policy.parse(policy).judge(args) is ours
    assert peer["policies"][name] is theirs
