"""Keys of libp2p: each kind verifies what its own signer signed, and nothing else does."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from protobufs import write_key, write_protobuf

from ipvm_queue.crypto.libp2p import ECDSA, ED25519, RSA, SECP, verify_peer
from ipvm_queue.errors import CodecError

if TYPE_CHECKING:
    from collections.abc import Callable

ED = Ed25519PrivateKey.generate()
RSA_KEY = rsa.generate_private_key(65537, 2048)
P256 = ec.generate_private_key(ec.SECP256R1())
K1 = ec.generate_private_key(ec.SECP256K1())


def der(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> bytes:
    """Return a public key in DER."""
    return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


KINDS: dict[str, tuple[bytes, Callable[[bytes], bytes]]] = {
    "Ed25519": (write_key(ED.public_key()), ED.sign),
    "RSA": (
        write_protobuf({1: RSA, 2: der(RSA_KEY)}),
        lambda data: RSA_KEY.sign(data, padding.PKCS1v15(), SHA256()),
    ),
    "secp256k1": (
        write_protobuf({1: SECP, 2: K1.public_key().public_bytes(Encoding.X962, PublicFormat.CompressedPoint)}),
        lambda data: K1.sign(data, ec.ECDSA(SHA256())),
    ),
    "ECDSA": (write_protobuf({1: ECDSA, 2: der(P256)}), lambda data: P256.sign(data, ec.ECDSA(SHA256()))),
}


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_verifies_its_own(kind: str) -> None:
    """A signature is of its data, under its key."""
    key, sign = KINDS[kind]

    assert verify_peer(key, sign(b"data"), b"data")
    assert not verify_peer(key, sign(b"data"), b"Data")
    assert not verify_peer(key, b"", b"data")
    assert not any(verify_peer(other, sign(b"data"), b"data") for other, _ in KINDS.values() if other != key)


@pytest.mark.parametrize(
    "key",
    [
        b"",
        write_protobuf({1: 9, 2: bytes(32)}),
        write_protobuf({1: ED25519}),
        write_protobuf({1: ED25519, 2: bytes(31)}),
        write_protobuf({1: ED25519, 2: bytes(32)}),  # of small order
        write_protobuf({1: ED25519, 2: b"\1" * 32, 3: 0}),
        write_protobuf({1: RSA, 2: b"no DER"}),
        write_protobuf({1: RSA, 2: der(P256)}),
        write_protobuf({1: RSA, 2: der(rsa.generate_private_key(65537, 1024))}),  # noqa: S505 - weak on purpose
        write_protobuf({1: ECDSA, 2: der(RSA_KEY)}),
        write_protobuf({1: SECP, 2: bytes(33)}),
        bytes(5000),
    ],
    ids=lambda key: key[:6].hex(),
)
def test_what_is_no_key_is_refused(key: bytes) -> None:
    """Another kind, a weak key and bytes that are none are errors, not keys under which nothing verifies."""
    with pytest.raises(CodecError):
        verify_peer(key, bytes(64), b"data")
