"""Protocol buffers, read strictly: the two or three messages of IPFS that are not IPLD.

A message comes out as its fields by number: an int for a varint, bytes for what has a length. Varints stand in their
shortest form, nothing after the end; groups and fixed-width fields have no use here and are refused.
"""

from __future__ import annotations

from typing import Final

from ipvm_queue.errors import CodecError

_VARINT: Final = 0
_BYTES: Final = 2
_MAX_VARINT: Final = 10  # bytes of 64 bits
_MORE: Final = 0x80


def read_protobuf(data: bytes) -> dict[int, int | bytes]:
    """Return the fields of one message that has each at most once; raises `CodecError` for what is none."""
    pairs = protobuf_fields(data)
    fields = dict(pairs)
    if len(fields) < len(pairs):
        raise CodecError("not this protobuf message: a field stands twice in it")
    return fields


def protobuf_fields(data: bytes) -> list[tuple[int, int | bytes]]:
    """Return number and value of each field of one message, in order; raises `CodecError` for what is none."""
    fields: list[tuple[int, int | bytes]] = []
    place = 0
    while place < len(data):
        tag, place = _varint(data, place)
        number, kind = tag >> 3, tag & 7
        if number == 0:
            raise CodecError("not a protobuf message: no field has the number 0")
        value, place = _varint(data, place)
        if kind == _VARINT:
            fields.append((number, value))
        elif kind == _BYTES and value <= len(data) - place:
            fields.append((number, data[place : place + value]))
            place += value
        else:
            raise CodecError(f"not a protobuf message: field {number} is cut short or of a kind that has no use here")
    return fields


def _varint(data: bytes, place: int) -> tuple[int, int]:
    """Return the varint at `place`, and the place after it."""
    number = 0
    for count in range(_MAX_VARINT):
        if place + count >= len(data):
            break
        byte = data[place + count]
        number |= (byte & 0x7F) << (7 * count)
        if byte < _MORE:
            if (count and not byte) or number >= 1 << 64:
                break
            return number, place + count + 1
    raise CodecError("not a protobuf message: a number is cut short, too long, or not in its shortest form")
