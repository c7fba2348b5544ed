"""Classic wallets: UCAN 0.8.1 JWTs that let somebody push, exchanged for a delegation of UCAN 1.0.

A queue is the root of its own subject, so it may say in 1.0 what a JWT from it says in 0.8: `exchange` does, for a
short time. Nothing is ever executed on a JWT's word. `walk` judges a JWT; py-ucan is asked too, after it, and can only
refuse. `mint` makes JWTs for old wallets. Needs the extra `jwt`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

from ipvm_queue.errors import UsageError
from ipvm_queue.ipld import Link
from ipvm_queue.ucan.delegation import Delegation
from ipvm_queue.ucan.errors import (
    ImpossibleAttenuationError,
    InvalidAudienceError,
    InvalidClaimError,
    MalformedError,
    RevokedError,
)
from ipvm_queue.ucan.jwt import HEADER, Capability, Jwt, encode_part

if TYPE_CHECKING:
    from collections.abc import Container, Iterator, Sequence

    from ipvm_queue.crypto import Signer

PUSH: Final = "queue/push"
_ALL: Final = "queue/*"
LIFETIME: Final = 3600  # seconds that what is exchanged is good for, at most
_RAW: Final = b"\x01\x55\x12\x20"  # a CIDv1 of bytes, by sha2-256
_DIGEST_BYTES: Final = 32
MAX_DEPTH: Final = 8
MAX_TOKENS: Final = 16
_MAX_WAYS: Final = 64  # py-ucan tries every capability against every proof, again at each level


@dataclass(frozen=True, slots=True)
class Classic:
    """A chain of JWTs that was walked, root first: `holder` may have `ability` performed on the queue until `exp`."""

    holder: str
    ability: str
    exp: int
    chain: tuple[Jwt, ...]

    @property
    def digest(self) -> bytes:
        """The sha2-256 of the JWT that was given."""
        return sha256(self.chain[-1].text.encode()).digest()

    @property
    def grant(self) -> bytes:
        """The sha2-256 of the JWT in the chain by which the holder has the right: what to revoke."""
        token = next(token for token in reversed(self.chain) if token.aud == self.holder)
        return sha256(token.text.encode()).digest()


@dataclass(frozen=True, slots=True)
class _Node:
    token: Jwt
    proofs: tuple[_Node, ...]

    @property
    def ways(self) -> int:
        return max(1, len(self.token.att)) * (1 + sum(proof.ways for proof in self.proofs))


def walk(text: str, queue: str, *, now: int, revoked: Container[Link] = frozenset()) -> Classic:
    """Return what a JWT grants on a queue (its DID): whoever it is for may push; raises the `UcanError` of the rule.

    The JWT is a delegation to its holder, or one that its holder addresses to the queue. At every level: form, version
    and algorithm, signature, time (now, and within that of each proof), not revoked, and each proof addressed to
    whoever uses it; also the proofs that are not needed. One path has to carry `queue/push` (or `queue/*`) on the
    queue's DID (or `queue:DID`) from the queue itself. Raises `UsageError` where py-ucan is not installed.
    """
    covers = _Rules(frozenset({queue, f"queue:{queue}"}))
    root = _Walk(now, revoked, iter(range(MAX_TOKENS))).read(text)
    leaf = root.token
    needed = next((held for held in leaf.att if covers.holds(held)), None)
    if needed is None:
        raise ImpossibleAttenuationError(f"the JWT does not grant {PUSH} on {queue}", token=leaf.link)
    if root.ways > _MAX_WAYS:
        raise MalformedError("the JWT has too many capabilities and proofs to be combined", token=leaf.link)
    chain = _chain(root, queue, covers)
    holder = leaf.iss if leaf.aud == queue else leaf.aud
    if holder == queue:
        raise InvalidAudienceError("the JWT is the queue's own, for itself", token=leaf.link)
    library = _library()
    needed = Capability(needed.resource, PUSH)
    refused = library.refuses(text, leaf.aud, needed, queue, library.Covers(covers.resource, covers.ability))
    if refused is not None:
        raise InvalidClaimError(f"py-ucan refuses the JWT: {refused}", token=leaf.link)
    return Classic(holder, PUSH, min(token.exp for token in chain), chain)


def queue_of(text: str) -> str:
    """Return the DID of the queue that a JWT says one may push to: whom to ask. Nothing is verified.

    Raises `UcanError` for what is no such JWT.
    """
    token = Jwt.parse(text)
    for held in token.att:
        if held.resource.removeprefix("queue:").startswith("did:key:") and held.ability in (PUSH, _ALL):
            return held.resource.removeprefix("queue:")
    raise ImpossibleAttenuationError(f"the JWT grants {PUSH} on no queue", token=token.link)


def exchange(
    text: str,
    queue: Signer,
    now: int,
    *,
    invoker: str | None = None,
    revoked: Container[Link] = frozenset(),
    lifetime: int = LIFETIME,
) -> Delegation:
    """Return a delegation of UCAN 1.0 for what a JWT grants: `/queue/push` on the queue, to the JWT's holder.

    It ends with the JWT or after `lifetime` seconds. Its `meta` is `{from, by}`: the sha2-256 of the JWT, and that of
    the one in it which names the holder. Where `invoker` is given, it has to be the holder: a stolen JWT is good for
    nothing. Raises as `walk` does.
    """
    found = walk(text, queue.did, now=now, revoked=revoked)
    if invoker is not None and invoker != found.holder:
        raise InvalidAudienceError(f"the JWT is for {found.holder}, not for {invoker}", token=found.chain[-1].link)
    return Delegation.issue(
        queue,
        found.holder,
        queue.did,
        f"/{found.ability}",
        expiration=min(found.exp, now + lifetime),
        meta={"from": found.digest, "by": found.grant},
    )


def source_of(granted: Delegation, queue: str) -> Link | None:
    """Return the CID of the JWT that the holder of an exchanged delegation has the right by; None for any other."""
    match granted.meta:
        case {"from": bytes(), "by": bytes() as digest, **rest} if not rest and granted.iss == queue:
            return Link(_RAW + digest) if len(digest) == _DIGEST_BYTES else None
    return None


def mint(
    signer: Signer,
    audience: str,
    resource: str,
    *,
    expiration: int,
    ability: str = PUSH,
    not_before: int | None = None,
    proofs: Sequence[str] = (),
) -> str:
    """Return a JWT for an old wallet: (signer) lets (audience) do (ability) with (resource).

    What is not set is left out: other libraries refuse the nulls that py-ucan would write. Raises `UcanError` for what
    would not be valid, `UsageError` for a key that is not Ed25519, or without the extra `jwt`.
    """
    if signer.suite.name != "Ed25519":
        raise UsageError("UCAN 0.8 JWTs are signed with Ed25519 keys here", hint="ipvm key new makes one")
    payload = {
        "iss": signer.did,
        "aud": audience,
        "exp": expiration,
        **({} if not_before is None else {"nbf": not_before}),
        "att": [{"with": resource, "can": ability}],
        "prf": list(proofs),
    }
    signed = ".".join(encode_part(json.dumps(part, separators=(",", ":")).encode()) for part in (HEADER, payload))
    library = _library()
    text = f"{signed}.{encode_part(library.sign(signer, signed.encode()))}"
    Jwt.parse(text)
    if not library.is_readable(text):
        raise MalformedError(f"older wallets could not read this: {ability!r} with {resource!r}")
    return text


@dataclass(frozen=True, slots=True)
class _Rules:
    """What covers what: two spellings of the queue are one resource, and `queue/*` has `queue/push` in it."""

    resources: frozenset[str]

    def resource(self, parent: str, child: str) -> bool:
        return parent == child or {parent, child} <= self.resources

    def ability(self, parent: str, child: str) -> bool:
        return parent == child or (parent == _ALL and child.startswith("queue/"))

    def holds(self, held: Capability) -> bool:
        return held.resource in self.resources and self.ability(held.ability, PUSH)


@dataclass(frozen=True, slots=True)
class _Walk:
    """Reads a JWT with its proofs, every one of them good in itself and for the one that it proves."""

    now: int
    revoked: Container[Link]
    left: Iterator[int]

    def read(self, text: str, child: Jwt | None = None, depth: int = 0) -> _Node:
        if depth >= MAX_DEPTH or next(self.left, None) is None:
            raise MalformedError(f"a JWT has at most {MAX_TOKENS} tokens in it, and {MAX_DEPTH} levels")
        token = Jwt.parse(text)
        token.verify()
        token.check_time(self.now)
        if token.link in self.revoked:
            raise RevokedError(f"{token.link} has been revoked", token=token.link)
        if child is not None and token.aud != child.iss:
            raise InvalidAudienceError(f"a proof is for {token.aud}, and {child.iss} uses it", token=token.link)
        if child is not None and not child.is_within(token):
            raise ImpossibleAttenuationError("a token's time goes beyond that of its proof", token=child.link)
        return _Node(token, tuple(self.read(proof, token, depth + 1) for proof in token.prf))


def _chain(node: _Node, queue: str, covers: _Rules) -> tuple[Jwt, ...]:
    """Return a path from the queue's own token to that of `node`, which covers; raises `UcanError`."""
    token = node.token
    if token.iss == queue:
        return (token,)
    if not node.proofs:
        raise InvalidClaimError(f"the chain of JWTs begins with {token.iss}, not with the queue", token=token.link)
    failure: ImpossibleAttenuationError | InvalidClaimError = ImpossibleAttenuationError(
        f"no proof of this JWT grants {PUSH} on {queue}", token=token.link
    )
    for proof in node.proofs:
        if any(covers.holds(held) for held in proof.token.att):
            try:
                return (*_chain(proof, queue, covers), token)
            except (ImpossibleAttenuationError, InvalidClaimError) as error:
                failure = error
    raise failure


def _library() -> Any:
    try:
        from ipvm_queue.ucan import py_ucan  # noqa: PLC0415 - an extra
    except ModuleNotFoundError as error:
        raise UsageError(
            "UCAN 0.8 JWTs need py-ucan, which is not installed", hint="docs/ucan.md, Classic wallets"
        ) from error
    return py_ucan
