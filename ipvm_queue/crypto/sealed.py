"""Sealed boxes: bytes that only the holders of some keys can read, addressed by did:key.

::

    ["ipvm/sealed", 1, commitment, [[did, wrapped], …], body]        DAG-CBOR

A fresh content key encrypts the data once (ChaCha20-Poly1305); each recipient has a copy of that key, wrapped by HPKE
(RFC 9180, base mode, HKDF-SHA256): X25519 for an Ed25519 key, P-256 for a P-256 key. Everything in front of the body is
authenticated with it, and each copy with the DID that it is for. The commitment, a hash of the content key, keeps a
sender from making one box that says different things to different readers. Whoever seals is not authenticated: a
signature around the box does that. Length and recipients can be seen by everyone.
"""

from __future__ import annotations

import os
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM
from cryptography.hazmat.primitives.hpke import Suite as Hpke
from nacl.bindings import crypto_sign_ed25519_pk_to_curve25519, crypto_sign_ed25519_sk_to_curve25519

from ipvm_queue.crypto.suites import ED25519, ES256, principal
from ipvm_queue.errors import CodecError, LimitError, SealError, UsageError, WrongKeyError
from ipvm_queue.ipld import decode, encode

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cryptography.hazmat.primitives.asymmetric import ec

    from ipvm_queue.crypto.signer import Signer

    _Public: TypeAlias = X25519PublicKey | ec.EllipticCurvePublicKey
    _Private: TypeAlias = X25519PrivateKey | ec.EllipticCurvePrivateKey

MAX_SEALED: Final = 64 * 1024 * 1024  # bytes of data in one box
MAX_RECIPIENTS: Final = 256
_MAGIC: Final = "ipvm/sealed"
_VERSION: Final = 1
_HEAD: Final = b"\x85" + encode(_MAGIC)  # what every box starts with
_MAX_ENVELOPE: Final = 256 * MAX_RECIPIENTS + 1024
_KEY_BYTES: Final = 32
_NONCE: Final = bytes(12)  # a content key encrypts one body, so the nonce has nothing to tell apart
_MAX_CONTEXT: Final = 4096
_TAG_BYTES: Final = 16
_SUITES: Final = {
    ED25519.name: Hpke(KEM.X25519, KDF.HKDF_SHA256, AEAD.CHACHA20_POLY1305),
    ES256.name: Hpke(KEM.P256, KDF.HKDF_SHA256, AEAD.CHACHA20_POLY1305),
}


class _Box(NamedTuple):
    commitment: bytes
    copies: dict[str, bytes]
    body: bytes


def seal(recipients: str | Iterable[str], data: bytes, *, context: bytes = b"") -> bytes:
    """Return a box of `data` that the keys of these DIDs can open, each alone.

    `context` says what the box is for (a CID, say): a box that is opened under another context does not open.
    Raises `UsageError` for no recipient and for a key that can only sign (secp256k1), `CodecError` for what is no
    did:key, `LimitError` for too many recipients or too much data.
    """
    dids = list(dict.fromkeys([recipients] if isinstance(recipients, str) else recipients))
    if not dids:
        raise UsageError("a sealed box needs a reader", hint="name at least one did:key")
    if len(dids) > MAX_RECIPIENTS:
        raise LimitError(f"a box is sealed to at most {MAX_RECIPIENTS} keys, not {len(dids)}")
    if len(data) > MAX_SEALED:
        raise LimitError(f"at most {MAX_SEALED} bytes are sealed in one box, not {len(data)}")
    _check_context(context)
    key = os.urandom(_KEY_BYTES)
    copies = {did: _wrap(did, key) for did in dids}
    head = [_MAGIC, _VERSION, _commitment(key), [[did, copy] for did, copy in copies.items()]]
    body = ChaCha20Poly1305(key).encrypt(_NONCE, data, encode([*head, context]))
    return encode([*head, body])


def open_sealed(signer: Signer, box: bytes, *, context: bytes = b"") -> bytes:
    """Return the data of a box that is sealed to `signer` (among others).

    Raises `SealError` for what is no box or was altered, its kind `WrongKeyError` for a box that is for others.
    """
    _check_context(context)
    parts = _read(box)
    copy = parts.copies.get(signer.did)
    if copy is None:
        raise WrongKeyError(
            f"this box is not sealed to {signer.did}",
            hint="open it with one of the keys it is for",
            recipients=sorted(parts.copies),
        )
    suite, private = _private(signer)
    try:
        key = suite.decrypt(copy, private, _info(signer.did))
    except InvalidTag as error:
        raise SealError("this box was altered: its key does not open") from error
    if len(key) != _KEY_BYTES or _commitment(key) != parts.commitment:
        raise SealError("this box was made to say different things to different readers")
    head = [_MAGIC, _VERSION, parts.commitment, [[did, wrapped] for did, wrapped in parts.copies.items()]]
    try:
        return ChaCha20Poly1305(key).decrypt(_NONCE, parts.body, encode([*head, context]))
    except InvalidTag as error:
        raise SealError("this box was altered, or is for another purpose than the one it is opened for") from error


def recipients_of(box: bytes) -> list[str]:
    """Return the DIDs that a box is sealed to, as the box claims; raises `SealError` for what is no box."""
    return list(_read(box).copies)


def is_sealed(data: bytes) -> bool:
    """Whether data claim to be a sealed box: they start as one."""
    return data.startswith(_HEAD)


def check_recipient(did: str) -> None:
    """Raise `UsageError` for a key that nothing can be sealed to, `CodecError` for what is no did:key."""
    _public(did)


def _read(box: bytes) -> _Box:
    if not is_sealed(box):
        raise SealError("not a sealed box: it does not start as one", hint=f"boxes start with {_MAGIC!r}")
    if len(box) > MAX_SEALED + _MAX_ENVELOPE:
        raise LimitError(f"a sealed box of {len(box)} bytes, at most {MAX_SEALED + _MAX_ENVELOPE} are read")
    try:
        value = decode(box, max_bytes=len(box), max_depth=4)
    except CodecError as error:
        raise SealError(f"not a sealed box: {error.message}") from error
    match value:
        case [_, version, *_] if type(version) is int and version != _VERSION:
            raise SealError(f"a sealed box of version {version}, this is {_VERSION}", hint="use a newer ipvm-queue")
        case [_, version, bytes() as commitment, list() as pairs, bytes() as body]:
            if type(version) is int and len(body) >= _TAG_BYTES:
                return _Box(commitment, _copies(pairs), body)
    raise SealError("not a sealed box: its fields are not those of one")


def _copies(pairs: list[Any]) -> dict[str, bytes]:
    copies: dict[str, bytes] = {}
    for pair in pairs[: MAX_RECIPIENTS + 1]:
        match pair:
            case [str() as did, bytes() as copy] if did not in copies:
                copies[did] = copy
            case _:
                raise SealError("not a sealed box: its list of readers is not one")
    if not 0 < len(copies) <= MAX_RECIPIENTS:
        raise SealError(f"a sealed box has 1 to {MAX_RECIPIENTS} readers")
    return copies


def _check_context(context: bytes) -> None:
    if len(context) > _MAX_CONTEXT:
        raise LimitError(f"the context of a box has at most {_MAX_CONTEXT} bytes")


def _wrap(did: str, key: bytes) -> bytes:
    suite, public = _public(did)
    return suite.encrypt(key, public, _info(did))


def _info(did: str) -> bytes:
    return encode([_MAGIC, _VERSION, did])


def _commitment(key: bytes) -> bytes:
    return sha256(b"ipvm/sealed commitment\0" + key).digest()


def _public(did: str) -> tuple[Hpke, _Public]:
    suite, key = principal(did)
    hpke = _suite(suite.name, did)
    if suite is not ED25519:
        return hpke, key
    try:
        montgomery = crypto_sign_ed25519_pk_to_curve25519(key.public_bytes_raw())
    except Exception as error:  # PyNaCl's errors have no common root
        raise CodecError(f"nothing can be sealed to {did}: it is no point of prime order") from error
    return hpke, X25519PublicKey.from_public_bytes(montgomery)


def _private(signer: Signer) -> tuple[Hpke, _Private]:
    hpke, key = _suite(signer.suite.name, signer.did), signer.private_key
    if signer.suite is not ED25519:
        return hpke, key  # type: ignore[return-value]
    both = key.private_bytes_raw() + key.public_key().public_bytes_raw()  # type: ignore[union-attr]
    return hpke, X25519PrivateKey.from_private_bytes(crypto_sign_ed25519_sk_to_curve25519(both))


def _suite(name: str, did: str) -> Hpke:
    suite = _SUITES.get(name)
    if suite is None:
        raise UsageError(
            f"nothing can be sealed to {did}: HPKE has no {name}",
            hint="a reader of sealed boxes has an Ed25519 or P-256 key: ipvm key new",
        )
    return suite
