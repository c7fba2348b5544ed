"""The suite Ed25519: keys, DIDs and signatures of 64 bytes.

Keys are cryptography's; libsodium signs and verifies, in half the time, and refuses weak keys by itself.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from nacl.bindings import crypto_sign, crypto_sign_open
from nacl.exceptions import BadSignatureError

from ipvm_queue.crypto import did as did_key
from ipvm_queue.errors import CodecError

if TYPE_CHECKING:
    from collections.abc import Callable

VARSIG_HEADER: Final = bytes.fromhex("3401ed01ed011371")  # varsig 1.0: EdDSA, Ed25519, sha2-512, over DAG-CBOR
SIGNATURE_BYTES: Final = 64
MULTICODEC: Final = b"\xed\x01"
_KEY_BYTES: Final = 32
_FIELD: Final = 2**255 - 19
# Public keys of order 1, 2, 4 and 8, where canonical: a signature under one of them verifies for every message.
_SMALL_ORDER: Final = frozenset(
    bytes.fromhex(key)
    for key in (
        "0100000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000080",
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0000000000000000000000000000000000000000000000000000000000000080",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
    )
)


@lru_cache(maxsize=4096)
def public_key(did: str) -> Ed25519PublicKey:
    """Return the key of a did:key; raises `CodecError` for another method, another suite or a weak key."""
    binary = did_key.read(did)
    if not binary.startswith(MULTICODEC):
        raise CodecError(f"{did} is not an Ed25519 did:key", hint=did_key.HINT)
    return load(binary.removeprefix(MULTICODEC), did)


def load(key: bytes, did: str) -> Ed25519PublicKey:
    """Return the key of its bytes, those of `did`; raises `CodecError` for one that is no identity."""
    if len(key) != _KEY_BYTES:
        raise CodecError(f"{did} is not an Ed25519 did:key", hint=did_key.HINT)
    if int.from_bytes(key, "little") % 2**255 >= _FIELD:
        raise CodecError(f"{did} is not the canonical encoding of its key", hint=did_key.HINT)
    if key in _SMALL_ORDER:
        raise CodecError(f"{did} is a key of small order: anyone can sign for it", hint=did_key.HINT)
    return Ed25519PublicKey.from_public_bytes(key)


def raw(key: Ed25519PrivateKey) -> bytes:
    """Return the 32 bytes of a private key's public key."""
    return key.public_key().public_bytes_raw()


def signing(key: Ed25519PrivateKey) -> Callable[[bytes], bytes]:
    """Return the function that signs with a key."""
    both = key.private_bytes_raw() + raw(key)
    return lambda data: crypto_sign(data, both)[:SIGNATURE_BYTES]


def verifies(key: Ed25519PublicKey, signature: bytes, data: bytes) -> bool:
    """Whether `signature` is of `data` under `key`."""
    if len(signature) != SIGNATURE_BYTES:
        return False
    try:
        crypto_sign_open(signature + data, key.public_bytes_raw())
    except BadSignatureError:
        return False
    return True
