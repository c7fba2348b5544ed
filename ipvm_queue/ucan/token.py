"""`Token`: an opened envelope whose signature has not been looked at yet (UCAN 1.0 "Envelope")."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from ipvm_queue.crypto import principal, suite_of_header
from ipvm_queue.errors import CodecError
from ipvm_queue.ipld import DAG_CBOR, Link, decode
from ipvm_queue.ucan.envelope import MAX_TOKEN_BYTES, SIGNATURE_BYTES
from ipvm_queue.ucan.errors import (
    InvalidSignatureError,
    MalformedError,
    UcanError,
    UnsupportedAlgorithmError,
    UnsupportedDIDError,
    UnsupportedVersionError,
)

if TYPE_CHECKING:
    from ipvm_queue.crypto import Suite
    from ipvm_queue.ipld import Value

DELEGATION: Final = "dlg"
INVOCATION: Final = "inv"
VERSIONS: Final = ("1.0.0", "1.0.0-rc.1")  # issued is the first, unless the other is asked for
KINDS: Final = {f"ucan/{kind}@{version}": kind for kind in (DELEGATION, INVOCATION) for version in VERSIONS}
_MAX_DID: Final = 256
_BODY: Final = 3 + SIGNATURE_BYTES  # where a signature of the right length ends; one of another verifies nothing


@dataclass(frozen=True, slots=True)
class Token:
    """A token's parts: `payload` under `tag`, and `signature` over `body`, which holds both of them.

    `link` is the CID of the whole. `kind` is `dlg` or `inv`.
    """

    link: Link
    data: bytes
    tag: str
    payload: dict[str, Any]
    suite: Suite
    signature: bytes
    body: bytes

    @property
    def links(self) -> frozenset[Link]:
        """The CIDs that this token goes by once it is verified: that of its signature's other form, too."""
        twin = self.suite.twin(self.signature)
        other = () if twin is None else (Link.of(self.data[: _BODY - SIGNATURE_BYTES] + twin + self.body, DAG_CBOR),)
        return frozenset((self.link, *other))

    @property
    def kind(self) -> str:
        """What the tag says that this is."""
        return KINDS[self.tag]

    @classmethod
    def open(cls, data: bytes) -> Token:
        """Take an envelope apart; the issuer and the signature are not looked at.

        Raises `MalformedError`, `UnsupportedVersionError` or `UnsupportedAlgorithmError`.
        """
        if len(data) > MAX_TOKEN_BYTES:
            raise MalformedError(f"a token has at most {MAX_TOKEN_BYTES} bytes, this one has {len(data)}")
        link = Link.of(data, DAG_CBOR)
        try:
            return _open(link, data, _decode(data))
        except UcanError as error:
            raise error.on(link) from error.__cause__

    def verify(self, issuer: str) -> None:
        """Raise `InvalidSignatureError` unless `issuer` signed this token, in the suite of its own key."""
        suite, key = principal_of(issuer)
        if suite is not self.suite:
            reason = f"signed with {self.suite.name}, but its issuer's key is {suite.name}"
            raise InvalidSignatureError(f"the token is {reason}", token=self.link)
        if len(self.signature) != SIGNATURE_BYTES or not suite.verifies(key, self.signature, self.body):
            raise InvalidSignatureError(f"the signature is not {issuer}'s over this token", token=self.link)


def principal_of(did: str) -> tuple[Suite, Any]:
    """Return suite and key of a DID, whose fragment does not count; raises `UnsupportedDIDError`."""
    if len(did) > _MAX_DID or not did.isascii() or not did.isprintable():
        raise UnsupportedDIDError(f"not a DID that can be used here: {did[:80]!r}")
    try:
        return principal(without_fragment(did))
    except CodecError as error:
        raise UnsupportedDIDError(error.message, hint=error.hint) from error


def without_fragment(did: str) -> str:
    """Return a DID up to its fragment, which names one of its keys and no other principal."""
    return did.partition("#")[0]


def _decode(data: bytes) -> Value:
    try:
        return decode(data)
    except CodecError as error:
        if data[:3] == b"eyJ":
            raise MalformedError("this is a JWT, of UCAN 0.10 or older; a UCAN 1.0 token is DAG-CBOR") from error
        raise MalformedError(error.message, hint=error.hint) from error


def _open(link: Link, data: bytes, envelope: Value) -> Token:
    match envelope:
        case [bytes() as signature, {"h": bytes() as header, **rest}] if len(rest) == 1:
            ((tag, payload),) = rest.items()
        case {"v": str() as version, "att": _}:
            raise UnsupportedVersionError(f"a token of UCAN {version[:40]}; only 1.0 is taken")
        case _:
            raise MalformedError("not a UCAN envelope: [signature, {h, payload}] is expected")
    if not isinstance(tag, str) or not tag.startswith("ucan/"):
        raise MalformedError(f"{str(tag)[:80]!r} is no tag of a UCAN payload")
    if tag not in KINDS:
        raise UnsupportedVersionError(f"the payload is {tag[:80]!r}; taken are {', '.join(KINDS)}")
    if not isinstance(payload, dict):
        raise MalformedError("the payload is not a map")
    suite = suite_of_header(header)
    if suite is None:
        raise UnsupportedAlgorithmError(
            f"the varsig header {header[:32].hex()} is none of the three: Ed25519, P-256 and secp256k1 over DAG-CBOR"
        )
    return Token(link, data, tag, payload, suite, signature, data[_BODY:])
