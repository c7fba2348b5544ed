"""Ed25519 identities as did:key."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from multiformats import multibase

from ipvm_queue.errors import CodecError

VARSIG_HEADER: Final = bytes.fromhex("3401ed01ed011371")  # varsig 1.0: EdDSA, Ed25519, sha2-512, over DAG-CBOR
SIGNATURE_BYTES: Final = 64
_MULTICODEC: Final = b"\xed\x01"
_KEY_BYTES: Final = 32
_PREFIX: Final = "did:key:"
_HINT: Final = "did:key:z6Mk… is expected"
_MAX_DID: Final = 128
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


class Signer:
    """A private key and the DID that it speaks for.

    `Signer.generate()` makes a new one; `sign(data)` returns a 64-byte signature.
    """

    __slots__ = ("_key", "did")

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key
        self.did = did_of(key.public_key().public_bytes_raw())

    @classmethod
    def generate(cls) -> Signer:
        """Return a signer with a fresh random key."""
        return cls(Ed25519PrivateKey.generate())

    @property
    def private_key(self) -> Ed25519PrivateKey:
        """The key itself, for writing it to a file."""
        return self._key

    def sign(self, data: bytes) -> bytes:
        """Return the signature of `data`."""
        return self._key.sign(data)

    def __repr__(self) -> str:
        return f"Signer({self.did})"


def did_of(public_key: bytes) -> str:
    """Return the did:key of 32 public key bytes."""
    return _PREFIX + str(multibase.encode(_MULTICODEC + public_key, "base58btc"))


@lru_cache(maxsize=4096)
def public_key(did: str) -> Ed25519PublicKey:
    """Return the key of a did:key; raises `CodecError` for another method, another suite or a weak key."""
    if not did.startswith(_PREFIX + "z") or len(did) > _MAX_DID:
        raise CodecError(f"not a DID that can be used here: {did[:80]!r}", hint=_HINT)
    try:
        binary = multibase.decode(did.removeprefix(_PREFIX))
    except Exception as error:
        raise CodecError(f"not a DID that can be used here: {did[:80]!r}", hint=_HINT) from error
    key = binary.removeprefix(_MULTICODEC)
    if not binary.startswith(_MULTICODEC) or len(key) != _KEY_BYTES:
        raise CodecError(f"{did} is not an Ed25519 did:key", hint=_HINT)
    if int.from_bytes(key, "little") % 2**255 >= _FIELD:
        raise CodecError(f"{did} is not the canonical encoding of its key", hint=_HINT)
    if key in _SMALL_ORDER:
        raise CodecError(f"{did} is a key of small order: anyone can sign for it", hint=_HINT)
    return Ed25519PublicKey.from_public_bytes(key)


def verify(did: str, signature: bytes, data: bytes) -> bool:
    """Whether `signature` is `did`'s over `data`; raises `CodecError` for a DID that cannot be used."""
    key = public_key(did)
    try:
        key.verify(signature, data)
    except InvalidSignature:
        return False
    return True
