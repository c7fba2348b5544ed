"""The UCAN 1.0 envelope: `[signature, {"h": varsig header, tag: payload}]` in DAG-CBOR."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from ipvm_queue.crypto import principal, suite_of_header
from ipvm_queue.errors import CodecError
from ipvm_queue.ipld import decode, decode_own, encode_own

if TYPE_CHECKING:
    from ipvm_queue.crypto import Signer
    from ipvm_queue.ipld import Value

MAX_TOKEN_BYTES: Final = 64 * 1024
SIGNATURE_BYTES: Final = 64
_HEAD: Final = b"\x82\x58\x40"  # a list of two, the first a byte string of 64


@dataclass(frozen=True, slots=True)
class Envelope:
    """An opened envelope: its payload's tag, and the payload."""

    tag: str
    payload: dict[str, Any]


def seal(payload: Value, tag: str, signer: Signer) -> bytes:
    """Return the envelope of `payload`, signed by `signer`, who must be its `iss`; it must be IPLD."""
    body = encode_own({"h": signer.varsig, tag: payload})
    return _HEAD + signer.sign(body) + body


def unseal(data: bytes, *, trusted: bool = False) -> Envelope:
    """Open an envelope; raises `CodecError` unless it is canonical and signed by the `iss` that it names.

    `trusted` leaves the signature unverified: verifying costs twenty times what reading does.
    """
    if len(data) > MAX_TOKEN_BYTES:
        raise CodecError(f"a token has at most {MAX_TOKEN_BYTES} bytes, this one has {len(data)}")
    match decode_own(data) if trusted else decode(data):
        case [bytes() as signature, {"h": bytes() as header, **rest}] if len(rest) == 1:
            ((tag, payload),) = rest.items()
        case _:
            raise CodecError("not a UCAN envelope: [signature, {h, payload}] is expected")
    suite = suite_of_header(header)
    if suite is None or len(signature) != SIGNATURE_BYTES:
        raise CodecError("this envelope is not signed with Ed25519, P-256 or secp256k1 over DAG-CBOR")
    if not isinstance(tag, str) or not isinstance(payload, dict) or not isinstance(issuer := payload.get("iss"), str):
        raise CodecError("this envelope's payload names no issuer")
    if not trusted:
        suite_of_issuer, key = principal(issuer)
        if suite_of_issuer is not suite or not suite.verifies(key, signature, data[len(_HEAD) + SIGNATURE_BYTES :]):
            raise CodecError(f"the signature is not {issuer}'s")
    return Envelope(tag, payload)
