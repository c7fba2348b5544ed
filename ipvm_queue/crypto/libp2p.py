"""Public keys of libp2p, which sign IPNS records: Ed25519, RSA, secp256k1 and ECDSA, each as its peers sign with it.

A key is a protobuf `{1: kind, 2: key}`; the name that speaks for it is that message itself (up to 42 bytes, as an
identity multihash) or its sha2-256. (libp2p peer ids, "Keys")
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, padding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_der_public_key

from ipvm_queue.crypto import ed25519
from ipvm_queue.crypto.ecdsa import SECP256K1
from ipvm_queue.errors import CodecError
from ipvm_queue.ipld.protobuf import read_protobuf

if TYPE_CHECKING:
    from collections.abc import Callable

RSA, ED25519, SECP, ECDSA = range(4)
MAX_KEY_BYTES: Final = 4096
_MIN_RSA_BITS: Final = 2048
_MAX_RSA_BITS: Final = 8192
_NAME: Final = "a libp2p key"


def verify_peer(key: bytes, signature: bytes, data: bytes) -> bool:
    """Whether `signature` is of `data` under a libp2p key (its protobuf message).

    Raises `CodecError` for a key that is none, is weak, or is of another kind.
    """
    if len(key) > MAX_KEY_BYTES:
        raise CodecError(f"a libp2p key of {len(key)} bytes, at most {MAX_KEY_BYTES} are read")
    fields = read_protobuf(key)
    kind, raw = fields.get(1), fields.get(2)
    verifier = _VERIFIERS.get(kind) if isinstance(kind, int) else None
    if verifier is None or not isinstance(raw, bytes) or len(fields) != len(("kind", "key")):
        raise CodecError("not a libp2p key of a kind that is used here", hint="Ed25519, RSA, secp256k1 or ECDSA")
    return verifier(raw, signature, data)


def _ed25519(raw: bytes, signature: bytes, data: bytes) -> bool:
    return ed25519.verifies(ed25519.load(raw, _NAME), signature, data)


def _secp(raw: bytes, signature: bytes, data: bytes) -> bool:
    return _ecdsa_with(SECP256K1.load(raw, _NAME), signature, data)


def _ecdsa(raw: bytes, signature: bytes, data: bytes) -> bool:
    key = _der(raw)
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise CodecError("this libp2p key claims to be ECDSA and is not")
    return _ecdsa_with(key, signature, data)


def _rsa(raw: bytes, signature: bytes, data: bytes) -> bool:
    key = _der(raw)
    if not isinstance(key, RSAPublicKey) or not _MIN_RSA_BITS <= key.key_size <= _MAX_RSA_BITS:
        raise CodecError(f"this libp2p key is no RSA key of {_MIN_RSA_BITS} to {_MAX_RSA_BITS} bits")
    try:
        key.verify(signature, data, padding.PKCS1v15(), SHA256())
    except InvalidSignature:
        return False
    return True


def _ecdsa_with(key: ec.EllipticCurvePublicKey, signature: bytes, data: bytes) -> bool:
    try:
        key.verify(signature, data, ec.ECDSA(SHA256()))
    except InvalidSignature:
        return False
    return True


def _der(raw: bytes) -> Any:
    try:
        return load_der_public_key(raw)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise CodecError("this libp2p key is no public key in DER") from error


_VERIFIERS: Final[dict[int, Callable[[bytes, bytes, bytes], bool]]] = {
    RSA: _rsa,
    ED25519: _ed25519,
    SECP: _secp,
    ECDSA: _ecdsa,
}
