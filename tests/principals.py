"""Principals and tokens for tests: the same for the same name, and forged ones for any rule."""

from __future__ import annotations

from hashlib import sha256

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ipvm_queue.crypto import Signer
from ipvm_queue.ipld import encode
from ipvm_queue.ucan import Container, Delegation, Invocation

NOW = 1_800_000_000
CURVES = {"P-256": ec.SECP256R1(), "secp256k1": ec.SECP256K1()}


def principal(name: str, suite: str = "Ed25519") -> Signer:
    """Return the signer of a name."""
    seed = sha256(name.encode()).digest()
    if suite == "Ed25519":
        return Signer(Ed25519PrivateKey.from_private_bytes(seed))
    return Signer(ec.derive_private_key(int.from_bytes(seed, "big") >> 1, CURVES[suite]))


ALICE, BOB, CAROL, DAVE, MALLORY = map(principal, ("alice", "bob", "carol", "dave", "mallory"))


def grant(issuer: Signer, audience: Signer, subject: Signer | None, command: str = "/msg", **extra) -> Delegation:
    """Return a delegation without end."""
    policy = extra.pop("policy", [])
    extra.setdefault("expiration", None)
    sub = None if subject is None else subject.did
    return Delegation.issue(issuer, audience.did, sub, command, policy, **extra)


def invoke(issuer: Signer, subject: Signer, *proofs: Delegation, command: str = "/msg/send", **extra) -> Invocation:
    """Return an invocation without end."""
    args = extra.pop("args", {})
    extra.setdefault("expiration", None)
    return Invocation.issue(issuer, subject.did, command, args, [proof.link for proof in proofs], **extra)


def bag(*tokens: Delegation | Invocation):
    """Return tokens by their CIDs."""
    return Container.of(token.data for token in tokens).tokens


def forge(signer: Signer, tag: str, payload: dict, *, header: bytes | None = None, signature: bytes | None = None):
    """Return an envelope of anything at all, well signed if nothing else is asked for."""
    body = encode({"h": signer.varsig if header is None else header, tag: payload})
    signed = signer.sign(body) if signature is None else signature
    return b"\x82" + encode(signed) + body


def delegation_payload(**changes):
    """Return the payload of a delegation from Alice to Bob; a change to `...` leaves a field out."""
    payload = {
        "iss": ALICE.did,
        "aud": BOB.did,
        "sub": ALICE.did,
        "cmd": "/msg",
        "pol": [],
        "nonce": b"n",
        "exp": None,
    }
    return {name: value for name, value in (payload | changes).items() if value is not ...}


def invocation_payload(**changes):
    """Return the payload of an invocation of Alice on herself; a change to `...` leaves a field out."""
    payload = {
        "iss": ALICE.did,
        "sub": ALICE.did,
        "cmd": "/msg/send",
        "args": {},
        "prf": [],
        "nonce": b"n",
        "exp": None,
    }
    return {name: value for name, value in (payload | changes).items() if value is not ...}
