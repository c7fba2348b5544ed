"""The text of a did:key: base58btc of a multicodec and a public key."""

from __future__ import annotations

from typing import Final

from ipvm_queue.crypto import base58
from ipvm_queue.errors import CodecError

HINT: Final = "did:key:z6Mk… (Ed25519), did:key:zDn… (P-256) or did:key:zQ3s… (secp256k1) is expected"
_PREFIX: Final = "did:key:z"
_MAX: Final = 128


def write(binary: bytes) -> str:
    """Return the did:key of a multicodec and key."""
    return _PREFIX + base58.encode(binary)


def read(did: str) -> bytes:
    """Return the multicodec and key of a did:key; raises `CodecError` for another method or multibase."""
    if len(did) > _MAX or not did.startswith(_PREFIX):
        raise CodecError(f"not a DID that can be used here: {did[:80]!r}", hint=HINT)
    try:
        return base58.decode(did.removeprefix(_PREFIX))
    except ValueError as error:
        raise CodecError(f"not a DID that can be used here: {did[:80]!r}", hint=HINT) from error
