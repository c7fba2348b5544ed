"""Protocol buffers as others write them, for tests of what reads them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ipvm_queue.crypto.libp2p import ED25519

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

_VARINT: Final = 0
_BYTES: Final = 2
_MORE: Final = 0x80


def write_key(public: Ed25519PublicKey) -> bytes:
    """Return libp2p's message of an Ed25519 key."""
    return write_protobuf({1: ED25519, 2: public.public_bytes_raw()})


def write_protobuf(fields: dict[int, int | bytes]) -> bytes:
    """Return the message of these fields, in their order."""
    parts = []
    for number, value in fields.items():
        if isinstance(value, bytes):
            parts += [_write_varint(number << 3 | _BYTES), _write_varint(len(value)), value]
        else:
            parts += [_write_varint(number << 3 | _VARINT), _write_varint(value)]
    return b"".join(parts)


def _write_varint(number: int) -> bytes:
    """Return the shortest varint of a number that is not negative."""
    out = bytearray()
    while number >= _MORE:
        out.append(number & 0x7F | _MORE)
        number >>= 7
    out.append(number)
    return bytes(out)
